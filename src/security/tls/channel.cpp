#include "security/tls/channel.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.hpp"
#include "security/tls/failure.hpp"

namespace warren::security::tls {
namespace {

constexpr std::uint8_t kFirstRecordType = SSL3_RT_CHANGE_CIPHER_SPEC;
constexpr int kRecordsMax = 64;  // Opened in one call.
constexpr std::uint8_t kLastRecordType = SSL3_RT_APPLICATION_DATA;

// Bytes of the first record, with its header; 0 while less than the header is there.
Result<std::size_t> record_bytes(BytesView buffered) {
  if (buffered.size() < kRecordHeaderBytes) return std::size_t{0};
  if (buffered[0] < kFirstRecordType || buffered[0] > kLastRecordType || buffered[1] != 3) {
    return fail(ErrorCode::kMalformed, fmt::format("TLS: a record of type {} and version {}.{}",
                                                   buffered[0], buffered[1], buffered[2]));
  }
  const std::size_t body = std::size_t{buffered[3]} << 8 | buffered[4];
  if (body > kRecordBodyBytesMax) {
    return fail(ErrorCode::kTooLarge, fmt::format("TLS: a record of {} bytes; {} is the most", body,
                                                  kRecordBodyBytesMax));
  }
  return kRecordHeaderBytes + body;
}

std::size_t total_of(std::span<const BytesView> parts) {
  std::size_t total = 0;
  for (const BytesView& part : parts) total += part.size();
  return total;
}

// What the peer may have asked for, of what we send. Source: RFC 6066, section 4.
std::size_t record_bytes_of(const SSL* ssl) {
  const int exponent = ::SSL_SESSION_get_max_fragment_length(::SSL_get0_session(ssl));
  return exponent == 0 ? kRecordPlainBytesMax : std::size_t{256} << exponent;
}

// Takes so many bytes off the front of `parts`, of which `front` is the first.
void gather(MutableBytes to, BytesView& front, std::span<const BytesView>& parts) {
  while (!to.empty()) {
    const std::size_t n = std::min(to.size(), front.size());
    if (n != 0) std::memcpy(to.data(), front.data(), n);
    to = to.subspan(n);
    front = front.subspan(n);
    if (front.empty() && !parts.empty()) {
      front = parts.front();
      parts = parts.subspan(1);
    }
  }
}

}  // namespace

Channel::Channel(std::unique_ptr<Session> session, std::uint64_t records_per_key)
    : session_(std::move(session)),
      record_bytes_(record_bytes_of(session_->ssl.get())),
      records_per_key_(records_per_key) {
  ::SSL_set_msg_callback(session_->ssl.get(), count_message);
  ::SSL_set_msg_callback_arg(session_->ssl.get(), this);
}

void Channel::count_message(int is_written, int, int content_type, const void*, std::size_t, SSL*,
                            void* self) {
  if (is_written == 0 && content_type == SSL3_RT_HANDSHAKE) {
    ++static_cast<Channel*>(self)->late_messages_;
  }
}

std::size_t Channel::sealed_bytes_max(std::size_t count) const {
  const std::size_t records = (count + record_bytes_ - 1) / record_bytes_;
  return count + records * kRecordOverheadBytes + kKeyUpdateRecordBytesMax;
}

std::unexpected<Error> Channel::fail_for_good(Error error) {
  failed_ = error;
  return fail(std::move(error));
}

// Whole records but for the last one.
Result<> Channel::write(BytesView bytes) {
  records_with_key_ += (bytes.size() + record_bytes_ - 1) / record_bytes_;
  std::size_t written = 0;
  if (::SSL_write_ex(session_->ssl.get(), bytes.data(), bytes.size(), &written) != 1 ||
      written != bytes.size()) {
    return fail_for_good(last_failure("TLS: writing"));
  }
  return {};
}

// Only before the first record of a seal(), so that there is room for one KeyUpdate and no more.
Result<> Channel::change_key_in_time() {
  if (records_with_key_ < records_per_key_) return {};
  records_with_key_ = 0;
  if (::SSL_key_update(session_->ssl.get(), SSL_KEY_UPDATE_NOT_REQUESTED) == 1) return {};
  return fail_for_good(last_failure("TLS: changing the key"));
}

Result<std::size_t> Channel::seal(std::span<const BytesView> parts, MutableBytes out) {
  if (failed_) return fail(*failed_);
  if (closed_) return fail(ErrorCode::kClosed, "TLS: the channel is closed");
  std::size_t left = total_of(parts);
  WARREN_CHECK(left <= kBulkBytes && out.size() >= sealed_bytes_max(left));
  const crypto::ErrorQueueGuard guard;
  ::ERR_clear_error();
  Pipe& pipe = session_->pipe;
  const std::size_t spilled = pipe.spill.size();
  pipe.out = out;
  Result<> result = change_key_in_time();
  BytesView front;
  while (result && left != 0) {
    while (front.empty()) {
      front = parts.front();
      parts = parts.subspan(1);
    }
    const std::size_t whole = front.size() / kRecordPlainBytesMax * kRecordPlainBytesMax;
    const std::size_t direct = front.size() == left ? left : whole;
    if (direct != 0) {
      result = write(front.first(direct));
      front = front.subspan(direct);
      left -= direct;
    } else {
      // A record that more than one part fills: only this one is copied together.
      std::array<std::uint8_t, kRecordPlainBytesMax> record;
      const MutableBytes used = MutableBytes(record).first(std::min(left, record.size()));
      gather(used, front, parts);
      result = write(used);
      left -= used.size();
    }
  }
  const std::size_t sealed = out.size() - std::exchange(pipe.out, {}).size();
  if (!result) return fail(std::move(result).error());
  WARREN_CHECK(pipe.spill.size() == spilled);
  return sealed;
}

// The plaintext of one whole record, at the front of `plaintext`: nothing for one that only TLS
// itself needs, and for the goodbye.
Result<std::size_t> Channel::open_record(BytesView record, MutableBytes plaintext) {
  Pipe& pipe = session_->pipe;
  pipe.in = record;
  std::size_t count = 0;
  const int result = ::SSL_read_ex(session_->ssl.get(), plaintext.data(), plaintext.size(), &count);
  const std::size_t unread = std::exchange(pipe.in, {}).size();
  if (result != 1) {
    switch (::SSL_get_error(session_->ssl.get(), result)) {
      case SSL_ERROR_WANT_READ: break;
      case SSL_ERROR_ZERO_RETURN: peer_ended_ = true; break;
      default: return fail(last_failure("TLS: reading"));
    }
  }
  if (unread != 0 || ::SSL_pending(session_->ssl.get()) != 0) {
    return fail(ErrorCode::kInternal, "TLS: OpenSSL left a part of a record unread");
  }
  bytes_opened_ += count;
  if (late_messages_ > kLateMessagesSpare + bytes_opened_ / kBytesPerLateMessage) {
    return fail(ErrorCode::kTooLarge,
                fmt::format("TLS: {} handshake messages behind the handshake and only {} bytes",
                            late_messages_, bytes_opened_));
  }
  return count;
}

Result<SecureChannel::Opened> Channel::open(MutableBytes buffered) {
  if (failed_) return fail(*failed_);
  // What follows a goodbye is not looked at. Source: RFC 8446, section 6.1.
  if (peer_ended_) return Opened{.plaintext = {}, .taken = buffered.size(), .end = true};
  const crypto::ErrorQueueGuard guard;
  ::ERR_clear_error();
  // Several records become one piece: a record's plaintext is shorter than what it was read from,
  // so it never reaches a record that is still to be read.
  std::size_t taken = 0;
  std::size_t opened = 0;
  // Not too many: a peer that sends records of a byte must not keep the core from others.
  for (int records = 0; records < kRecordsMax; ++records) {
    if (opened + kRecordPlainBytesMax > kBulkBytes || peer_ended_) break;
    const BytesView rest = buffered.subspan(taken);
    const auto size = record_bytes(rest);
    if (size && (*size == 0 || *size > rest.size())) break;
    auto count =
        size ? open_record(rest.first(*size), buffered.subspan(opened, taken + *size - opened))
             : Result<std::size_t>(std::unexpected(size.error()));
    if (!count) {
      failed_ = std::move(count).error();
      break;
    }
    taken += *size;
    opened += *count;
  }
  // What came before a broken record is good.
  if (failed_ && opened == 0) return fail(*failed_);
  return Opened{.plaintext = buffered.first(opened), .taken = taken, .end = peer_ended_};
}

Bytes Channel::close() {
  if (!failed_ && !std::exchange(closed_, true)) {
    const crypto::ErrorQueueGuard guard;
    (void)::SSL_shutdown(session_->ssl.get());  // 0: the peer's goodbye is not awaited here.
  }
  return take_output();
}

}  // namespace warren::security::tls
