// A small program on libwarren: starts a node, prints peers as they come and go, shares a folder,
// or fetches one and ends.
//
//   neighbours STORAGE [--listen ADDRESS] [--peer ADDRESS] [--no-discovery]
//              [--share PATH] [--get NAME_OR_CID FOLDER]

#include <signal.h>

#include <cstdio>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>
#include <warren/warren.hpp>

namespace {

struct Options {
  std::string storage;
  std::vector<std::string> listen;
  std::string peer;
  bool discovery = true;
  std::string share;
  std::string get;
  std::string folder;
};

std::optional<Options> parse(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  Options options;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool one_more = i + 1 < words.size();
    if (words[i] == "--listen" && one_more) {
      options.listen.push_back(words[++i]);
    } else if (words[i] == "--peer" && one_more) {
      options.peer = words[++i];
    } else if (words[i] == "--no-discovery") {
      options.discovery = false;
    } else if (words[i] == "--share" && one_more) {
      options.share = words[++i];
    } else if (words[i] == "--get" && i + 2 < words.size()) {
      options.get = words[++i];
      options.folder = words[++i];
    } else if (options.storage.empty() && !words[i].starts_with("--")) {
      options.storage = words[i];
    } else {
      return std::nullopt;
    }
  }
  if (options.storage.empty()) return std::nullopt;
  return options;
}

int complain(std::string_view what, const warren::Error& error) {
  std::cerr << "neighbours: " << what << ": " << error.message << " ("
            << warren::error_name(error.code) << ")\n";
  if (!error.hint.empty()) std::cerr << "neighbours: " << error.hint << '\n';
  return 1;
}

// [events]
// Runs on a thread of the node that is there for this alone: it may take its time.
void print_event(const warren::Event& event) {
  if (const auto* connected = std::get_if<warren::PeerConnected>(&event)) {
    std::cout << "peer " << connected->peer_id << " at " << connected->address << std::endl;
  } else if (const auto* gone = std::get_if<warren::PeerDisconnected>(&event)) {
    std::cout << "gone " << gone->peer_id << std::endl;
  }
}
// [events]

// [progress]
bool print_progress(const warren::GetProgress& progress) {
  std::cerr << '\r' << progress.bytes_done << " of " << progress.bytes_total << " bytes from "
            << progress.peers << " peers " << std::flush;
  return true;  // Go on.
}
// [progress]

// [build]
warren::Result<warren::Node> build(const Options& options) {
  warren::NodeBuilder builder;
  builder.with_storage(options.storage).with_profile(warren::Profile::kStandard);
  if (!options.listen.empty()) builder.with_listen_addresses(options.listen);
  if (!options.discovery) {
    builder.with_discovery({.mdns = false, .beacon = false, .exchange = false});
  }
  return builder.build();
}
// [build]

int run(const Options& options, const sigset_t& stopping) {
  auto node = build(options);
  if (!node) return complain("cannot make a node", node.error());
  std::cout << "id " << node->peer_id() << std::endl;
  // [run]
  const auto subscription = node->subscribe(print_event);
  if (!subscription) return complain("cannot subscribe", subscription.error());
  const auto started = node->start();
  if (!started) return complain("cannot start", started.error());
  // [run]
  const auto addresses = node->listen_addresses();
  if (!addresses) return complain("cannot listen", addresses.error());
  for (const std::string& address : *addresses) std::cout << "listening " << address << std::endl;

  if (!options.peer.empty()) {
    const auto added = node->add_peer(options.peer);
    if (!added) return complain("cannot add the peer", added.error());
  }
  // [share]
  if (!options.share.empty()) {
    const auto shared = node->share(options.share);
    if (!shared) return complain("cannot share", shared.error());
    std::cout << "shared " << shared->cid << " as " << shared->name << std::endl;
  }
  // [share]
  // [get]
  if (!options.get.empty()) {
    const auto got = node->get({.what = options.get, .folder = options.folder},
                               std::chrono::hours(1), print_progress);
    std::cerr << '\n';
    if (!got) return complain("cannot get " + options.get, got.error());
    std::cout << "got " << got->path << std::endl;
    return 0;
  }
  // [get]
  int signal = 0;
  ::sigwait(&stopping, &signal);

  const auto peers = node->list_peers();
  if (peers) {
    for (const warren::PeerInfo& peer : *peers) {
      std::cout << "had " << peer.peer_id << " reputation " << peer.reputation << " received "
                << peer.bytes_received << " sent " << peer.bytes_sent << std::endl;
    }
  }
  const auto stopped = node->stop();
  if (!stopped) return complain("cannot stop", stopped.error());
  std::cout << "stopped" << std::endl;
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const auto options = parse(argc, argv);
  if (!options) {
    std::cerr << "usage: neighbours STORAGE [--listen ADDRESS] [--peer ADDRESS] [--no-discovery]\n"
                 "                  [--share PATH] [--get NAME_OR_CID FOLDER]\n";
    return 2;
  }
  // The node's threads take no signals: this one waits for them.
  sigset_t stopping;
  ::sigemptyset(&stopping);
  ::sigaddset(&stopping, SIGINT);
  ::sigaddset(&stopping, SIGTERM);
  ::pthread_sigmask(SIG_BLOCK, &stopping, nullptr);
  return run(*options, stopping);
}
