#pragma once
// The records of TLS 1.3 behind the handshake. Only .cpp files include it.

#include <cstdint>
#include <memory>
#include <optional>

#include "security/tls/context.hpp"
#include "security/tls/pipe.hpp"

namespace warren::security::tls {

/// Plaintext of one record. Source: RFC 8446, section 5.1.
inline constexpr std::size_t kRecordPlainBytesMax = 16'384;
inline constexpr std::size_t kRecordHeaderBytes = 5;
/// What a record has more than its plaintext: header, type, tag.
inline constexpr std::size_t kRecordOverheadBytes = kRecordHeaderBytes + 1 + 16;
/// Of a record that a peer sends, without its header. Source: RFC 8446, section 5.2.
inline constexpr std::size_t kRecordBodyBytesMax = kRecordPlainBytesMax + 256;
/// A record with a KeyUpdate takes 27.
inline constexpr std::size_t kKeyUpdateRecordBytesMax = 32;
/// Four full records.
inline constexpr std::size_t kBulkBytes = 4 * kRecordPlainBytesMax;

/// AES-GCM may seal 2^24.5 full records with one key; a third of it is used here.
/// Source: RFC 8446, section 5.5.
inline constexpr std::uint64_t kRecordsPerKey = 1u << 23;

/// Handshake messages behind the handshake (KeyUpdate, NewSessionTicket) that are taken before the
/// first plaintext, and how much plaintext earns one more. Each costs some microseconds, and no
/// program sends more than a few.
inline constexpr std::uint64_t kLateMessagesSpare = 32;
inline constexpr std::uint64_t kBytesPerLateMessage = 1u << 20;

/// One connection's objects, from its first message to its last record.
struct Session {
  std::shared_ptr<const Context> context;
  Verification verification;
  Pipe pipe;
  SslHandle ssl;  ///< Looks at the two above it.
};

class Channel final : public SecureChannel {
 public:
  /// `session` has finished its handshake.
  explicit Channel(std::unique_ptr<Session> session,
                   std::uint64_t records_per_key = kRecordsPerKey);

  std::size_t bulk_bytes() const override { return kBulkBytes; }
  std::size_t sealed_bytes_max(std::size_t count) const override;
  std::size_t frame_bytes_max() const override { return kRecordHeaderBytes + kRecordBodyBytesMax; }
  Result<std::size_t> seal(std::span<const BytesView> parts, MutableBytes out) override;
  Result<Opened> open(MutableBytes buffered) override;
  Bytes take_output() override { return std::exchange(session_->pipe.spill, {}); }
  Bytes close() override;
  bool has_goodbye() const override { return true; }

 private:
  static void count_message(int is_written, int version, int content_type, const void* data,
                            std::size_t length, SSL* ssl, void* self);

  Result<> write(BytesView bytes);
  Result<> change_key_in_time();
  Result<std::size_t> open_record(BytesView record, MutableBytes plaintext);
  std::unexpected<Error> fail_for_good(Error error);

  std::unique_ptr<Session> session_;
  std::size_t record_bytes_;  ///< Plaintext in a record of ours.
  std::uint64_t records_per_key_;
  std::uint64_t records_with_key_ = 0;
  std::uint64_t late_messages_ = 0;
  std::uint64_t bytes_opened_ = 0;
  bool peer_ended_ = false;
  bool closed_ = false;
  std::optional<Error> failed_;
};

}  // namespace warren::security::tls
