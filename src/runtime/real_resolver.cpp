#include "runtime/real_resolver.hpp"

#include <ares.h>
#include <fmt/core.h>
#include <netdb.h>

#include <algorithm>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <optional>

#include "base/check.hpp"
#include "base/log.hpp"
#include "runtime/cancellation.hpp"
#include "runtime/socket_address.hpp"
#include "runtime/wait_list.hpp"

namespace warren::runtime {
namespace {

using Descriptor = asio::posix::stream_descriptor;

// A channel that is idle and older than this is made anew, so that it has the name servers of the
// network that the machine is in now: c-ares reads /etc/resolv.conf only then.
constexpr Duration kChannelAgeMax = 30s;
constexpr int kTries = 2;
// What a server may send in one datagram. Source: DNS flag day 2020; larger ones get fragmented.
constexpr int kDatagramBytesMax = 1232;
constexpr int kClassInternet = 1;
constexpr int kTypeText = 16;

/// A question at the name servers. Whoever asked may have stopped waiting for it.
struct Question {
  explicit Question(Runtime& runtime) : answered(runtime.make_signal()) {}

  std::unique_ptr<Signal> answered;
  bool done = false;
  int status = ARES_SUCCESS;
  std::vector<IpAddress> addresses;
  std::vector<std::string> texts;
};

Error error_of(int status, std::string_view name) {
  const auto make = [&](ErrorCode code, std::string_view what, std::string hint = {}) {
    return Error(code, fmt::format("{}: {}", name, what), std::move(hint));
  };
  switch (status) {
    case ARES_ENOTFOUND:
      return make(ErrorCode::kNotFound, "no such name", "check how the name is written");
    case ARES_ENODATA: return make(ErrorCode::kNotFound, "the name has no record of that kind");
    case ARES_ETIMEOUT:
      return make(ErrorCode::kTimedOut, "the name servers did not answer",
                  "check /etc/resolv.conf and the network, or give an IP address");
    case ARES_ESERVFAIL:
    case ARES_EFORMERR:
    case ARES_ENOTIMP:
    case ARES_EREFUSED:
    case ARES_ECONNREFUSED:
      return make(ErrorCode::kUnreachable,
                  fmt::format("the name servers failed ({})", ares_strerror(status)),
                  "check /etc/resolv.conf and the network, or give an IP address");
    case ARES_EBADNAME:  // Of a name in the answer: ours was looked at before.
    case ARES_EBADRESP: return make(ErrorCode::kMalformed, "the answer is no DNS answer");
    case ARES_EDESTRUCTION:
    case ARES_ECANCELLED: return make(ErrorCode::kClosed, "the node is shutting down");
    default: return make(ErrorCode::kInternal, ares_strerror(status));
  }
}

class RealResolver final : public Resolver {
 public:
  RealResolver(asio::io_context& context, Runtime& runtime, RealResolverOptions options)
      : context_(context),
        runtime_(runtime),
        options_(std::move(options)),
        timer_(context),
        room_(runtime) {
    WARREN_CHECK(ares_library_init(ARES_LIB_INIT_ALL) == ARES_SUCCESS);
  }
  ~RealResolver() override {
    close_channel();
    ares_library_cleanup();
  }
  RealResolver(const RealResolver&) = delete;
  RealResolver& operator=(const RealResolver&) = delete;

  awaitable<Result<std::vector<IpAddress>>> resolve_host(std::string name, AddressFamily family,
                                                         TimePoint deadline) override {
    WARREN_CO_TRY_VOID(check_host_name(name));
    if (const auto ip = IpAddress::parse(name)) {
      if (family == AddressFamily::kV6) co_return fail(error_of(ARES_ENODATA, name));
      co_return std::vector<IpAddress>(1, *ip);
    }
    WARREN_CO_TRY_VOID(co_await wait_for_room(name, deadline));
    const auto question = std::make_shared<Question>(runtime_);
    ares_addrinfo_hints hints{};
    // Dialing ranks them itself. The environment variable CARES_HOSTS may name another file of
    // hosts than /etc/hosts.
    hints.ai_flags = ARES_AI_NOSORT | ARES_AI_ENVHOSTS;
    hints.ai_family = family == AddressFamily::kAny  ? AF_UNSPEC
                      : family == AddressFamily::kV4 ? AF_INET
                                                     : AF_INET6;
    hints.ai_socktype = SOCK_STREAM;  // Else each address comes once per socket type.
    ares_getaddrinfo(channel_, name.c_str(), nullptr, &hints, on_addresses, ask(question));
    rearm_timer();
    WARREN_CO_TRY_VOID(co_await wait_for(question, name, deadline));
    if (question->addresses.empty()) co_return fail(error_of(ARES_ENODATA, name));
    co_return std::move(question->addresses);
  }

  awaitable<Result<std::vector<std::string>>> resolve_text(std::string name,
                                                           TimePoint deadline) override {
    WARREN_CO_TRY_VOID(check_host_name(name));
    WARREN_CO_TRY_VOID(co_await wait_for_room(name, deadline));
    const auto question = std::make_shared<Question>(runtime_);
    ares_query(channel_, name.c_str(), kClassInternet, kTypeText, on_texts, ask(question));
    rearm_timer();
    WARREN_CO_TRY_VOID(co_await wait_for(question, name, deadline));
    if (question->texts.empty()) co_return fail(error_of(ARES_ENODATA, name));
    co_return std::move(question->texts);
  }

 private:
  /// A socket of c-ares, watched by Asio. Shared with the waits that outlive it by a moment.
  struct Socket {
    explicit Socket(asio::io_context& context) : descriptor(context) {}
    Descriptor descriptor;
    bool gone = false;
    bool wanted[2] = {false, false};  ///< To read, to write.
    bool armed[2] = {false, false};
  };
  /// What c-ares gives back with an answer.
  struct Asked {
    RealResolver* resolver;
    std::shared_ptr<Question> question;
  };

  // ----------------------------------------------------------------------------- questions

  awaitable<Result<>> wait_for_room(std::string name, TimePoint deadline) {
    if (asked_ >= options_.limits.queries_max && room_.size() >= options_.limits.waiting_max) {
      co_return fail(ErrorCode::kLimited,
                     fmt::format("{}: {} lookups wait already", name, room_.size()));
    }
    while (asked_ >= options_.limits.queries_max) {
      const Wake how = co_await room_.wait_until(deadline);
      if (how == Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
      if (how == Wake::kTimedOut) co_return fail(error_of(ARES_ETIMEOUT, name));
    }
    co_return open_channel();
  }

  Asked* ask(std::shared_ptr<Question> question) {
    ++asked_;
    return new Asked{this, std::move(question)};
  }

  awaitable<Result<>> wait_for(std::shared_ptr<Question> question, std::string name,
                               TimePoint deadline) {
    while (!question->done) {
      const Wake how = co_await question->answered->wait_until(deadline);
      if (question->done) break;
      if (how == Wake::kCancelled) co_return fail(ErrorCode::kCancelled, "cancelled");
      if (how == Wake::kTimedOut) co_return fail(error_of(ARES_ETIMEOUT, name));
    }
    if (question->status != ARES_SUCCESS) co_return fail(error_of(question->status, name));
    co_return Result<>{};
  }

  static void finish(Asked& asked, int status) {
    asked.question->status = status;
    asked.question->done = true;
    asked.question->answered->notify();
    --asked.resolver->asked_;
    asked.resolver->room_.notify_all();
  }

  static void on_addresses(void* argument, int status, int /*timeouts*/, ares_addrinfo* found) {
    const std::unique_ptr<Asked> asked(static_cast<Asked*>(argument));
    if (status == ARES_SUCCESS && found != nullptr) {
      std::vector<IpAddress>& all = asked->question->addresses;
      for (const ares_addrinfo_node* node = found->nodes; node != nullptr; node = node->ai_next) {
        const auto endpoint = endpoint_of(*node->ai_addr);
        if (!endpoint || std::ranges::find(all, endpoint->ip) != all.end()) continue;
        if (all.size() == asked->resolver->options_.limits.answers_max) break;
        all.push_back(endpoint->ip);
      }
    }
    if (found != nullptr) ares_freeaddrinfo(found);
    finish(*asked, status);
  }

  static void on_texts(void* argument, int status, int /*timeouts*/, unsigned char* answer,
                       int length) {
    const std::unique_ptr<Asked> asked(static_cast<Asked*>(argument));
    if (status == ARES_SUCCESS) {
      ares_txt_ext* parts = nullptr;
      status = ares_parse_txt_reply_ext(answer, length, &parts);
      if (status == ARES_SUCCESS) {
        asked->resolver->take_texts(parts, asked->question->texts);
      }
      if (parts != nullptr) ares_free_data(parts);
    }
    finish(*asked, status);
  }

  /// Joins the strings of each record.
  void take_texts(const ares_txt_ext* part, std::vector<std::string>& texts) const {
    std::size_t bytes = 0;
    for (; part != nullptr; part = part->next) {
      bytes += part->length;
      const bool begins = part->record_start != 0 || texts.empty();
      const bool full = begins && texts.size() == options_.limits.answers_max;
      if (full || bytes > options_.limits.text_bytes_max) {
        // A record that is not whole means nothing.
        if (!begins) texts.pop_back();
        return;
      }
      if (begins) texts.emplace_back();
      texts.back().append(reinterpret_cast<const char*>(part->txt), part->length);
    }
  }

  // ------------------------------------------------------------------------------- c-ares

  Result<> open_channel() {
    const TimePoint now = runtime_.now();
    if (channel_ != nullptr && (asked_ > 0 || now < opened_at_ + kChannelAgeMax)) return {};
    close_channel();
    ares_options wanted{};
    wanted.flags = ARES_FLAG_EDNS | ARES_FLAG_NOSEARCH;
    wanted.timeout = static_cast<int>(options_.answer_time_max.count());
    wanted.tries = kTries;
    wanted.ednspsz = kDatagramBytesMax;
    wanted.sock_state_cb = on_socket;
    wanted.sock_state_cb_data = this;
    const int opened = ares_init_options(&channel_, &wanted,
                                         ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
                                             ARES_OPT_EDNSPSZ | ARES_OPT_SOCK_STATE_CB);
    if (opened != ARES_SUCCESS) {
      channel_ = nullptr;
      return fail(ErrorCode::kInternal,
                  fmt::format("the resolver cannot start: {}", ares_strerror(opened)));
    }
    opened_at_ = now;
    std::string servers;
    for (const Endpoint& server : options_.servers) {
      servers += (servers.empty() ? "" : ",") + server.to_string();
    }
    if (!servers.empty()) {
      WARREN_CHECK(ares_set_servers_ports_csv(channel_, servers.c_str()) == ARES_SUCCESS);
    }
    return {};
  }

  /// Every question that is under way ends with kClosed.
  void close_channel() {
    if (channel_ == nullptr) return;
    ares_destroy(std::exchange(channel_, nullptr));
    timer_.cancel();
  }

  /// c-ares wants to hear of `fd`, or, with both false, is about to close it.
  static void on_socket(void* self, ares_socket_t fd, int readable, int writable) {
    static_cast<RealResolver*>(self)->watch(fd, readable != 0, writable != 0);
  }

  void watch(ares_socket_t fd, bool readable, bool writable) {
    const auto found = sockets_.find(fd);
    if (!readable && !writable) {
      if (found == sockets_.end()) return;
      found->second->gone = true;
      found->second->descriptor.release();
      sockets_.erase(found);
      return;
    }
    auto socket = found != sockets_.end() ? found->second : std::make_shared<Socket>(context_);
    if (found == sockets_.end()) {
      boost::system::error_code error;
      socket->descriptor.assign(fd, error);
      // Then the question ends by c-ares's own timeout.
      if (error) return log::warn("resolver", "cannot watch a socket: {}", error.message());
      sockets_.emplace(fd, socket);
    }
    socket->wanted[0] = readable;
    socket->wanted[1] = writable;
    arm(socket);
  }

  void arm(const std::shared_ptr<Socket>& socket) {
    for (const int way : {0, 1}) {
      if (socket->gone || !socket->wanted[way] || socket->armed[way]) continue;
      socket->armed[way] = true;
      socket->descriptor.async_wait(way == 0 ? Descriptor::wait_read : Descriptor::wait_write,
                                    [this, socket, way](const boost::system::error_code& error) {
                                      socket->armed[way] = false;
                                      // Gone: perhaps together with the resolver.
                                      if (socket->gone || error) return;
                                      const int fd = socket->descriptor.native_handle();
                                      ares_process_fd(channel_, way == 0 ? fd : ARES_SOCKET_BAD,
                                                      way == 1 ? fd : ARES_SOCKET_BAD);
                                      arm(socket);
                                      rearm_timer();
                                    });
    }
  }

  /// Sets the timer to when c-ares next wants to look for silence.
  void rearm_timer() {
    timeval left{};
    if (ares_timeout(channel_, nullptr, &left) == nullptr) {
      timer_.cancel();
      return;
    }
    timer_.expires_after(std::chrono::seconds(left.tv_sec) +
                         std::chrono::microseconds(left.tv_usec));
    timer_.async_wait([this](const boost::system::error_code& error) {
      if (error) return;
      ares_process_fd(channel_, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
      rearm_timer();
    });
  }

  asio::io_context& context_;
  Runtime& runtime_;
  RealResolverOptions options_;
  ares_channel channel_ = nullptr;
  TimePoint opened_at_{};
  std::size_t asked_ = 0;
  std::map<ares_socket_t, std::shared_ptr<Socket>> sockets_;
  asio::steady_timer timer_;
  WaitList room_;
};

}  // namespace

std::unique_ptr<Resolver> make_real_resolver(asio::io_context& context, Runtime& runtime,
                                             RealResolverOptions options) {
  return std::make_unique<RealResolver>(context, runtime, std::move(options));
}

}  // namespace warren::runtime
