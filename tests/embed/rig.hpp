#pragma once
// Real nodes on loopback through the public surface alone, for the tests of this folder. Nothing
// here sleeps: everything waits for an event of a node, with a deadline.

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>
#include <warren/warren.hpp>

namespace warren::test {

using namespace std::chrono_literals;

/// For what takes milliseconds on a machine at rest.
inline constexpr std::chrono::seconds kPatience{20};

/// A folder of this test alone.
class TempFolder {
 public:
  TempFolder() {
    std::string name = (std::filesystem::temp_directory_path() / "warren-embed-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    path_ = name;
  }
  ~TempFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string operator/(std::string_view name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

inline void write_file(const std::string& path, const std::string& text) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

inline std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The error as a test shows it.
inline std::string said(const Error& error) {
  return std::string(error_name(error.code)) + ": " + error.message;
}

template <class T>
std::string said(const Result<T>& result) {
  return result ? "no error" : said(result.error());
}

/// On 127.0.0.1, any free port, and without any way of finding peers.
inline NodeBuilder quiet(const std::string& storage) {
  NodeBuilder builder;
  builder.with_storage(storage)
      .with_listen_addresses({"/ip4/127.0.0.1/udp/0/quic-v1"})
      .with_discovery({.mdns = false, .beacon = false, .exchange = false});
  return builder;
}

/// A started node that remembers what it was told.
class TestNode {
 public:
  explicit TestNode(const NodeBuilder& builder) : node_(made(builder)) {
    auto subscription = node_.subscribe([this](const Event& event) { take(event); });
    if (!subscription) throw std::runtime_error(said(subscription));
    subscription_ = *std::move(subscription);
    const auto started = node_.start();
    if (!started) throw std::runtime_error(said(started));
    const auto addresses = node_.listen_addresses();
    if (!addresses) throw std::runtime_error(said(addresses));
    if (!addresses->empty()) address_ = addresses->front();
  }
  explicit TestNode(const std::string& storage) : TestNode(quiet(storage)) {}
  ~TestNode() { subscription_.end(); }
  TestNode(const TestNode&) = delete;
  TestNode& operator=(const TestNode&) = delete;

  Node* operator->() { return &node_; }
  Node& operator*() { return node_; }
  std::string id() const { return node_.peer_id(); }
  /// Where it listens, with /p2p.
  const std::string& address() const { return address_; }

  /// The connected ones, by id.
  std::vector<std::string> peers() {
    std::vector<std::string> ids;
    for (const PeerInfo& peer : node_.list_peers().value()) ids.push_back(peer.peer_id);
    return ids;
  }
  bool has(const std::string& peer) {
    const auto info = node_.find_peer(peer);
    return info && info->connected;
  }

  /// Waits until `holds`, which is asked after each event of this node and now and then besides.
  /// False when it did not come to hold in `time`.
  bool wait_until(const std::function<bool()>& holds, std::chrono::milliseconds time = kPatience) {
    const auto deadline = std::chrono::steady_clock::now() + time;
    for (;;) {
      std::size_t seen = 0;
      {
        const std::lock_guard lock(mutex_);
        seen = events_.size();
      }
      if (holds()) return true;
      const auto now = std::chrono::steady_clock::now();
      if (now >= deadline) return false;
      std::unique_lock lock(mutex_);
      changed_.wait_until(lock, std::min(deadline, now + 250ms),
                          [&] { return events_.size() != seen; });
    }
  }
  bool wait_for_peers(std::size_t count, std::chrono::milliseconds time = kPatience) {
    return wait_until([this, count] { return peers().size() == count; }, time);
  }

  /// The first event of kind `T`, past or future, for which `fits` is true.
  template <class T>
  std::optional<T> wait_for(const std::function<bool(const T&)>& fits,
                            std::chrono::milliseconds time = kPatience) {
    std::optional<T> found;
    wait_until(
        [&] {
          const std::lock_guard lock(mutex_);
          for (const Event& event : events_) {
            const T* kind = std::get_if<T>(&event);
            if (kind != nullptr && fits(*kind)) {
              found = *kind;
              return true;
            }
          }
          return false;
        },
        time);
    return found;
  }
  /// Events of kind `T` so far.
  template <class T>
  std::size_t count() {
    const std::lock_guard lock(mutex_);
    return static_cast<std::size_t>(std::ranges::count_if(
        events_, [](const Event& event) { return std::holds_alternative<T>(event); }));
  }
  template <class T>
  std::optional<T> wait_for(const std::string& peer, std::chrono::milliseconds time = kPatience) {
    return wait_for<T>([&](const T& event) { return event.peer_id == peer; }, time);
  }

 private:
  static Node made(const NodeBuilder& builder) {
    auto node = builder.build();
    if (!node) throw std::runtime_error(said(node));
    return *std::move(node);
  }
  void take(const Event& event) {
    const std::lock_guard lock(mutex_);
    events_.push_back(event);
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<Event> events_;
  std::string address_;
  Node node_;
  Subscription subscription_;
};

}  // namespace warren::test
