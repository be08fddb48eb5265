#include "discovery/mdns/dns_codec.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

namespace warren::discovery {
namespace {

constexpr std::size_t kHeaderBytes = 12;
// Pointers followed for one name. Writers need one; a chain of them only costs the reader.
constexpr int kPointersMax = 16;
constexpr std::uint16_t kClassIn = 1;
constexpr std::uint16_t kTopBit = 0x8000;  // QU in a question, cache-flush in a record.
constexpr std::uint16_t kResponseFlag = 0x8000;
constexpr std::uint16_t kOpcodeMask = 0x7800;
constexpr std::uint16_t kAuthoritativeFlag = 0x0400;
constexpr std::uint16_t kTruncatedFlag = 0x0200;
constexpr std::uint16_t kErrorMask = 0x000f;

}  // namespace

// ---------------------------------------------------------------------------------- reading

/// Reads a packet from front to back. Every read checks the length first.
class DnsReader {
 public:
  explicit DnsReader(BytesView packet) : packet_(packet) {}

  Result<std::uint8_t> u8() {
    if (at_ >= packet_.size()) return cut_off();
    return packet_[at_++];
  }
  Result<std::uint16_t> u16() {
    if (packet_.size() - at_ < 2) return cut_off();
    const int value = packet_[at_] << 8 | packet_[at_ + 1];
    at_ += 2;
    return static_cast<std::uint16_t>(value);
  }
  Result<std::uint32_t> u32() {
    WARREN_TRY(const std::uint32_t high, u16());
    WARREN_TRY(const std::uint32_t low, u16());
    return high << 16 | low;
  }
  Result<BytesView> bytes(std::size_t count) {
    if (packet_.size() - at_ < count) return cut_off();
    const BytesView part = packet_.subspan(at_, count);
    at_ += count;
    return part;
  }

  /// Labels up to a zero or a pointer. Each pointer must lead to before the place where the part
  /// that holds it began, so every jump goes strictly backwards and the reading ends.
  Result<DnsName> name() {
    DnsName out;
    std::size_t at = at_;
    std::size_t part_start = at_;
    int jumps = 0;
    for (;;) {
      if (at >= packet_.size()) return cut_off();
      const std::uint8_t length = packet_[at];
      if (length != 0 && length <= kDnsLabelBytesMax) {
        at += 1u + length;
        if (at > packet_.size()) return cut_off();
        if (out.wire_.size() + (at - part_start) > kDnsNameBytesMax) {
          return fail(ErrorCode::kMalformed, "a domain name is longer than 255 bytes");
        }
        continue;
      }
      // The labels end here: all of this part at once.
      out.wire_.append(as_text(packet_.subspan(part_start, at - part_start)));
      if (length == 0) {
        if (jumps == 0) at_ = at + 1;
        return out;
      }
      if (length < 0xc0) {
        return fail(ErrorCode::kMalformed, fmt::format("unknown label type {:#x}", length));
      }
      if (packet_.size() - at < 2) return cut_off();
      const std::size_t target = std::size_t{length & 0x3fu} << 8 | packet_[at + 1];
      if (jumps == 0) at_ = at + 2;
      if (++jumps > kPointersMax) {
        return fail(ErrorCode::kMalformed,
                    fmt::format("a name of more than {} compression pointers", kPointersMax));
      }
      if (target >= part_start) {
        return fail(ErrorCode::kMalformed,
                    fmt::format("a compression pointer at byte {} leads to byte {}, not backwards",
                                at, target));
      }
      at = part_start = target;
    }
  }

  std::size_t at() const noexcept { return at_; }
  void move_to(std::size_t at) noexcept { at_ = at; }

 private:
  std::unexpected<Error> cut_off() const {
    return fail(ErrorCode::kMalformed,
                fmt::format("the DNS packet of {} bytes is cut off", packet_.size()));
  }

  BytesView packet_;
  std::size_t at_ = 0;
};

namespace {

Result<std::optional<AddressData>> read_address(DnsReader& in, DnsType type, std::size_t length) {
  const std::size_t expected = type == DnsType::kA ? 4 : 16;
  if (length != expected) {
    return fail(ErrorCode::kMalformed, fmt::format("an address record of {} bytes", length));
  }
  WARREN_TRY(const BytesView raw, in.bytes(length));
  WARREN_TRY(const IpAddress ip, IpAddress::from_bytes(raw));
  if (ip.is_v6() != (type == DnsType::kAaaa)) return std::nullopt;  // ::ffff:a.b.c.d
  return AddressData{ip};
}

Result<TxtData> read_txt(DnsReader& in, std::size_t end, std::size_t& strings_left) {
  TxtData txt;
  while (in.at() < end) {
    if (strings_left-- == 0) {
      return fail(ErrorCode::kTooLarge,
                  fmt::format("more than {} strings in one DNS packet", kDnsStringsMax));
    }
    WARREN_TRY(const std::uint8_t length, in.u8());
    if (end - in.at() < length) {
      return fail(ErrorCode::kMalformed, "a TXT string is longer than its record");
    }
    WARREN_TRY(const BytesView text, in.bytes(length));
    txt.strings.emplace_back(as_text(text));
  }
  return txt;
}

/// The next record, or nothing if it is one of those that are skipped.
Result<std::optional<DnsRecord>> read_record(DnsReader& in, std::size_t& strings_left) {
  DnsRecord record;
  WARREN_TRY(record.name, in.name());
  WARREN_TRY(const std::uint16_t type_value, in.u16());
  WARREN_TRY(const std::uint16_t class_value, in.u16());
  WARREN_TRY(const std::uint32_t ttl, in.u32());
  WARREN_TRY(const std::uint16_t length, in.u16());
  const std::size_t start = in.at();
  WARREN_TRY_VOID(in.bytes(length));
  const std::size_t end = in.at();
  record.ttl = std::chrono::seconds(ttl);
  record.flush = (class_value & kTopBit) != 0;
  if ((class_value & ~kTopBit) != kClassIn) return std::nullopt;

  in.move_to(start);
  const auto type = static_cast<DnsType>(type_value);
  switch (type) {
    case DnsType::kA:
    case DnsType::kAaaa: {
      WARREN_TRY(const auto address, read_address(in, type, length));
      if (!address) return std::nullopt;
      record.data = *address;
      break;
    }
    case DnsType::kPtr: {
      WARREN_TRY(DnsName target, in.name());
      record.data = PtrData{std::move(target)};
      break;
    }
    case DnsType::kTxt: {
      WARREN_TRY(TxtData txt, read_txt(in, end, strings_left));
      record.data = std::move(txt);
      break;
    }
    case DnsType::kSrv: {
      SrvData srv;
      WARREN_TRY(srv.priority, in.u16());
      WARREN_TRY(srv.weight, in.u16());
      WARREN_TRY(srv.port, in.u16());
      WARREN_TRY(srv.target, in.name());
      record.data = std::move(srv);
      break;
    }
    case DnsType::kAny:  // Only in questions.
    default:             // Any number may come from a peer.
      in.move_to(end);
      return std::nullopt;
  }
  if (in.at() != end) {
    return fail(ErrorCode::kMalformed,
                fmt::format("the data of a record of type {} ends at byte {} "
                            "instead of {}",
                            type_value, in.at(), end));
  }
  return record;
}

Result<DnsQuestion> read_question(DnsReader& in, bool& internet) {
  DnsQuestion question;
  WARREN_TRY(question.name, in.name());
  WARREN_TRY(const std::uint16_t type, in.u16());
  WARREN_TRY(const std::uint16_t class_value, in.u16());
  question.type = static_cast<DnsType>(type);
  question.unicast = (class_value & kTopBit) != 0;
  const int bare = class_value & ~kTopBit;
  internet = bare == kClassIn || bare == 255;  // 255: any class.
  return question;
}

}  // namespace

Result<DnsMessage> decode_dns(BytesView packet) {
  if (packet.size() > kDnsMessageBytesMax) {
    return fail(ErrorCode::kTooLarge, fmt::format("a DNS packet of {} bytes, at most {} are read",
                                                  packet.size(), kDnsMessageBytesMax));
  }
  DnsReader in(packet);
  DnsMessage message;
  WARREN_TRY(message.id, in.u16());
  WARREN_TRY(const std::uint16_t flags, in.u16());
  std::array<std::size_t, 4> counts{};
  for (std::size_t& count : counts) {
    WARREN_TRY(count, in.u16());
  }
  message.response = (flags & kResponseFlag) != 0;
  message.authoritative = (flags & kAuthoritativeFlag) != 0;
  message.truncated = (flags & kTruncatedFlag) != 0;
  if ((flags & (kOpcodeMask | kErrorMask)) != 0) {
    return fail(ErrorCode::kUnsupported, fmt::format("a DNS packet with flags {:#06x}", flags));
  }
  if (counts[0] > kDnsQuestionsMax || counts[1] + counts[2] + counts[3] > kDnsRecordsMax) {
    return fail(
        ErrorCode::kTooLarge,
        fmt::format("a DNS packet of {} questions and {} records, at most {} and {} are read",
                    counts[0], counts[1] + counts[2] + counts[3], kDnsQuestionsMax,
                    kDnsRecordsMax));
  }
  for (std::size_t i = 0; i < counts[0]; ++i) {
    bool internet = false;
    WARREN_TRY(DnsQuestion question, read_question(in, internet));
    if (internet) message.questions.push_back(std::move(question));
  }
  std::size_t strings_left = kDnsStringsMax;
  const std::array sections{&message.answers, &message.authorities, &message.additionals};
  for (std::size_t section = 0; section < sections.size(); ++section) {
    for (std::size_t i = 0; i < counts[section + 1]; ++i) {
      WARREN_TRY(auto record, read_record(in, strings_left));
      if (record) sections[section]->push_back(std::move(*record));
    }
  }
  return message;
}

// ---------------------------------------------------------------------------------- writing

namespace {

class DnsWriter {
 public:
  void u16(std::size_t value) {
    out_.push_back(static_cast<std::uint8_t>(value >> 8));
    out_.push_back(static_cast<std::uint8_t>(value));
  }
  void u32(std::uint32_t value) {
    u16(value >> 16);
    u16(value & 0xffff);
  }
  void raw(BytesView bytes) { append(out_, bytes); }

  /// Writes the labels that were not written before, then a pointer to those that were.
  void name(const DnsName& name) {
    std::string_view rest = name.wire();
    while (!rest.empty()) {
      const auto known = std::ranges::find(suffixes_, rest, &Suffix::wire);
      if (known != suffixes_.end()) {
        u16(0xc000u | known->at);
        return;
      }
      // Pointers have 14 bits. A bound on the list keeps writing linear.
      if (out_.size() < 0x4000 && suffixes_.size() < kSuffixesMax) {
        suffixes_.push_back({std::string(rest), out_.size()});
      }
      const std::size_t label = 1u + static_cast<std::uint8_t>(rest[0]);
      raw(as_bytes(rest.substr(0, label)));
      rest.remove_prefix(label);
    }
    out_.push_back(0);
  }

  std::size_t size() const noexcept { return out_.size(); }
  void patch_u16(std::size_t at, std::size_t value) {
    out_[at] = static_cast<std::uint8_t>(value >> 8);
    out_[at + 1] = static_cast<std::uint8_t>(value);
  }
  Bytes take() && { return std::move(out_); }

 private:
  static constexpr std::size_t kSuffixesMax = 128;
  struct Suffix {
    std::string wire;
    std::size_t at;
  };
  Bytes out_;
  std::vector<Suffix> suffixes_;
};

struct DataWriter {
  DnsWriter& out;
  std::size_t& strings_left;

  Result<> operator()(const PtrData& ptr) const {
    out.name(ptr.target);
    return {};
  }
  Result<> operator()(const TxtData& txt) const {
    for (const std::string& text : txt.strings) {
      if (text.size() > 255) {
        return fail(ErrorCode::kInvalidArgument,
                    fmt::format("a TXT string of {} bytes, at most 255 fit", text.size()));
      }
      if (strings_left-- == 0) return fail(ErrorCode::kTooLarge, "too many TXT strings");
      out.raw(std::array{static_cast<std::uint8_t>(text.size())});
      out.raw(as_bytes(text));
    }
    return {};
  }
  Result<> operator()(const SrvData& srv) const {
    out.u16(srv.priority);
    out.u16(srv.weight);
    out.u16(srv.port);
    out.name(srv.target);
    return {};
  }
  Result<> operator()(const AddressData& address) const {
    out.raw(address.ip.bytes());
    return {};
  }
};

DnsType type_of(const DnsRecord& record) {
  struct Types {
    DnsType operator()(const PtrData&) const { return DnsType::kPtr; }
    DnsType operator()(const TxtData&) const { return DnsType::kTxt; }
    DnsType operator()(const SrvData&) const { return DnsType::kSrv; }
    DnsType operator()(const AddressData& address) const {
      return address.ip.is_v6() ? DnsType::kAaaa : DnsType::kA;
    }
  };
  return std::visit(Types{}, record.data);
}

Result<> write_record(DnsWriter& out, const DnsRecord& record, std::size_t& strings_left) {
  if (record.ttl.count() < 0 || record.ttl.count() > std::numeric_limits<std::uint32_t>::max()) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("a ttl of {} s does not fit 32 bits", record.ttl.count()));
  }
  out.name(record.name);
  out.u16(std::to_underlying(type_of(record)));
  out.u16(record.flush ? kTopBit | kClassIn : kClassIn);
  out.u32(static_cast<std::uint32_t>(record.ttl.count()));
  const std::size_t length_at = out.size();
  out.u16(0);
  WARREN_TRY_VOID(std::visit(DataWriter{out, strings_left}, record.data));
  const std::size_t length = out.size() - length_at - 2;
  if (length > 0xffff) return fail(ErrorCode::kTooLarge, "a record is longer than 65,535 bytes");
  out.patch_u16(length_at, length);
  return {};
}

}  // namespace

Result<Bytes> encode_dns(const DnsMessage& message, std::size_t bytes_max) {
  const std::array sections{&message.answers, &message.authorities, &message.additionals};
  std::size_t records = 0;
  for (const auto* section : sections) records += section->size();
  if (message.questions.size() > kDnsQuestionsMax || records > kDnsRecordsMax) {
    return fail(ErrorCode::kTooLarge, fmt::format("{} questions and {} records are too many",
                                                  message.questions.size(), records));
  }
  DnsWriter out;
  out.u16(message.id);
  int flags = 0;
  if (message.response) flags |= kResponseFlag;
  if (message.authoritative) flags |= kAuthoritativeFlag;
  if (message.truncated) flags |= kTruncatedFlag;
  out.u16(static_cast<std::size_t>(flags));
  out.u16(message.questions.size());
  for (const auto* section : sections) out.u16(section->size());
  static_assert(kHeaderBytes == 12);

  for (const DnsQuestion& question : message.questions) {
    out.name(question.name);
    out.u16(std::to_underlying(question.type));
    out.u16(question.unicast ? kTopBit | kClassIn : kClassIn);
  }
  std::size_t strings_left = kDnsStringsMax;
  for (const auto* section : sections) {
    for (const DnsRecord& record : *section) {
      WARREN_TRY_VOID(write_record(out, record, strings_left));
    }
  }
  if (out.size() > bytes_max) {
    return fail(
        ErrorCode::kTooLarge,
        fmt::format("the DNS packet has {} bytes, at most {} are sent", out.size(), bytes_max));
  }
  return std::move(out).take();
}

}  // namespace warren::discovery
