#pragma once
// A tiny name server on a loopback port, by UDP and TCP, for tests of the resolver.

#include <array>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "runtime/real_runtime.hpp"
#include "runtime/task_group.hpp"

namespace warren::runtime {

inline constexpr std::uint16_t kDnsA = 1;
inline constexpr std::uint16_t kDnsTxt = 16;
inline constexpr std::uint16_t kDnsAaaa = 28;

class DnsServer {
 public:
  /// What is said about one name.
  struct Zone {
    std::vector<IpAddress> addresses{};
    /// Each record as its strings.
    std::vector<std::vector<std::string>> texts{};
    int rcode = 0;
    bool silent = false;
    bool garbage = false;   ///< Bytes behind the header that are no records.
    bool truncate = false;  ///< By UDP: only "come by TCP".
  };

  explicit DnsServer(Runtime& runtime) : runtime_(runtime), tasks_(runtime, 64) {
    const IpAddress loopback = IpAddress::v4(127, 0, 0, 1);
    // The same port for both.
    for (int tries = 0; tcp_ == nullptr; ++tries) {
      WARREN_CHECK(tries < 20);
      auto tcp = runtime.listen_stream({loopback, 0, 0});
      WARREN_CHECK(tcp);
      auto udp = runtime.bind_datagram({loopback, (*tcp)->local().port, 0}, {});
      if (!udp) continue;
      tcp_ = std::move(*tcp);
      udp_ = std::move(*udp);
    }
    WARREN_CHECK(tasks_.spawn(serve_udp()) && tasks_.spawn(serve_tcp()));
  }
  awaitable<void> stop() { co_await tasks_.join(); }

  Endpoint endpoint() const { return tcp_->local(); }

  std::map<std::string, Zone> zones;
  std::vector<std::string> asked_udp;  ///< "name/type", in order of arrival.
  std::vector<std::string> asked_tcp;

 private:
  static void u16(Bytes& out, std::size_t value) {
    out.push_back(static_cast<std::uint8_t>(value >> 8));
    out.push_back(static_cast<std::uint8_t>(value));
  }
  static void record(Bytes& out, std::uint16_t type, BytesView data) {
    u16(out, 0xc00c);  // The name of the question.
    u16(out, type);
    u16(out, 1);
    append(out, Bytes{0, 0, 0, 60});
    u16(out, data.size());
    append(out, data);
  }

  /// Empty: no answer.
  Bytes answer(BytesView query, bool tcp) {
    if (query.size() < 17) return {};
    std::string name;
    std::size_t at = 12;
    while (at < query.size() && query[at] != 0) {
      if (!name.empty()) name += '.';
      name += as_text(query.subspan(at + 1, query[at]));
      at += query[at] + 1u;
    }
    const BytesView question = query.subspan(12, at + 5 - 12);
    const auto type = static_cast<std::uint16_t>(query[at + 1] << 8 | query[at + 2]);
    (tcp ? asked_tcp : asked_udp).push_back(name + "/" + std::to_string(type));
    const auto found = zones.find(name);
    const Zone zone = found == zones.end() ? Zone{.rcode = 3} : found->second;
    if (zone.silent) return {};
    Bytes records;
    std::size_t count = 0;
    for (const IpAddress& ip : zone.addresses) {
      if (type != (ip.is_v6() ? kDnsAaaa : kDnsA)) continue;
      record(records, type, ip.bytes());
      ++count;
    }
    for (const auto& strings : zone.texts) {
      if (type != kDnsTxt) continue;
      Bytes data;
      for (const std::string& text : strings) {
        data.push_back(static_cast<std::uint8_t>(text.size()));
        append(data, as_bytes(text));
      }
      record(records, type, data);
      ++count;
    }
    const bool cut = zone.truncate && !tcp;
    if (cut) {
      records.clear();
      count = 0;
    }
    if (zone.garbage) {
      records.assign(40, 0xff);
      count = 3;
    }
    Bytes out = {query[0],
                 query[1],
                 static_cast<std::uint8_t>(cut ? 0x86 : 0x84),
                 static_cast<std::uint8_t>(0x80 | zone.rcode),
                 0,
                 1};
    u16(out, count);
    append(out, Bytes{0, 0, 0, 0});
    append(out, question);
    append(out, records);
    return out;
  }

  awaitable<void> serve_udp() {
    for (;;) {
      const auto batches = co_await udp_->receive();
      if (!batches) co_return;
      for (const ReceivedBatch& batch : *batches) {
        const Bytes out = answer(batch.bytes, false);
        if (!out.empty()) (void)udp_->try_send({.to = batch.from, .bytes = out});
      }
    }
  }

  awaitable<void> serve_tcp() {
    for (;;) {
      auto stream = co_await tcp_->accept();
      if (!stream) co_return;
      WARREN_CHECK(tasks_.spawn(serve_one(std::move(*stream))));
    }
  }

  awaitable<void> serve_one(std::unique_ptr<ByteStream> stream) {
    Bytes in;
    for (;;) {
      std::array<std::uint8_t, 1024> buffer;
      const auto n = co_await stream->read_some(buffer, runtime_.now() + 10s);
      if (!n || *n == 0) co_return;
      append(in, BytesView(buffer).first(*n));
      while (in.size() >= 2 && in.size() >= 2u + (std::size_t{in[0]} << 8 | in[1])) {
        const std::size_t size = std::size_t{in[0]} << 8 | in[1];
        const Bytes out = answer(BytesView(in).subspan(2, size), true);
        in.erase(in.begin(), in.begin() + static_cast<std::ptrdiff_t>(2 + size));
        if (out.empty()) continue;
        Bytes length;
        u16(length, out.size());
        const std::array<BytesView, 2> parts = {length, out};
        const auto sent = co_await stream->write_all(parts, runtime_.now() + 10s);
        if (!sent) co_return;
      }
    }
  }

  Runtime& runtime_;
  std::unique_ptr<StreamListener> tcp_;
  std::unique_ptr<DatagramSocket> udp_;
  TaskGroup tasks_;
};

}  // namespace warren::runtime
