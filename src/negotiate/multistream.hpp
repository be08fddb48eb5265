#pragma once
// multistream-select 1.0 without I/O: which protocol a byte stream is going to carry.
// Source: multiformats/multistream-select, README.md; libp2p specs, connections/README.md.
//
// A driver writes take_output(), reads at most wants() bytes, feeds them, and goes on until done().
// Neither machine ever wants a byte beyond its own messages, so what follows them on the stream
// is left for the protocol that was agreed on.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace warren::negotiate {

/// The first message of both sides.
inline constexpr std::string_view kHeader = "/multistream/1.0.0";
/// Most bytes of one message after its length prefix, newline included.
/// Source: go-multistream and js-libp2p refuse longer ones.
inline constexpr std::size_t kMessageBytesMax = 1024;
/// Proposals a responder refuses on one stream before it gives up. More come only from a peer that
/// wants to keep us busy.
inline constexpr std::size_t kProposalsMax = 64;

/// Whether `id` can be proposed: 1 to 1,023 bytes without a newline, and not one of the words that
/// the negotiation itself uses.
bool is_valid_protocol(std::string_view id);

/// Appends `uvarint(length) text newline`.
void append_message(Bytes& out, std::string_view text);

/// Collects one message at a time and never takes a byte beyond it.
class MessageReader {
 public:
  /// The first message is refused as soon as its length shows that it is not the header.
  MessageReader() = default;
  /// Bytes to read next, at least 1: one at a time for the length, then all the rest at once.
  std::size_t wants() const noexcept;
  /// Takes bytes from the front of `in`, up to the end of the message; returns how many.
  /// Errors: kTooLarge, kMalformed. Nothing may be fed after an error.
  Result<std::size_t> feed(BytesView in);
  /// The message without its newline once it is whole, and starts over; else nullopt.
  std::optional<std::string> take();

 private:
  Bytes prefix_;            // The length varint as far as it came; at most 2 bytes.
  std::size_t length_ = 0;  // 0: not known yet.
  std::string text_;
  bool header_due_ = true;
};

/// The side that opened the stream and proposes.
class Initiator {
 public:
  /// `protocols` in order of preference: at least one, each is_valid_protocol (checked). The first
  /// output is the header and the first proposal together, so that the answer costs one round trip.
  explicit Initiator(std::vector<std::string> protocols);

  /// What to send now; empty when there is nothing.
  Bytes take_output();
  /// Most bytes to read next; 0 once done or failed.
  std::size_t wants() const noexcept;
  /// Takes bytes that were read, up to the end of its last message, and returns how many: the rest
  /// belongs to the agreed protocol. Errors: kUnsupported when every proposal was refused,
  /// kMalformed, kTooLarge. Nothing may be fed after an error.
  Result<std::size_t> feed(BytesView in);
  bool done() const noexcept { return state_ == State::kDone; }
  /// The protocol agreed on, or as long as !done() the one proposed last.
  const std::string& protocol() const { return protocols_[proposed_]; }

 private:
  enum class State : std::uint8_t { kHeader, kAnswer, kDone, kFailed };
  Result<> on_message(const std::string& text);

  std::vector<std::string> protocols_;
  std::size_t proposed_ = 0;
  State state_ = State::kHeader;
  MessageReader reader_;
  Bytes output_;
};

/// The side that accepted the stream and chooses.
class Responder {
 public:
  /// `supported` says whether a protocol is spoken here; it must outlive the machine's last feed().
  /// The header is in the output from the start: neither side waits for the other's.
  explicit Responder(std::function<bool(std::string_view)> supported);

  /// As Initiator's. The echo that ends the negotiation is output like the rest: write it first.
  Bytes take_output();
  std::size_t wants() const noexcept;
  /// As Initiator's. Errors: kUnsupported after kProposalsMax refusals, kMalformed, kTooLarge.
  Result<std::size_t> feed(BytesView in);
  bool done() const noexcept { return state_ == State::kDone; }
  /// The protocol agreed on; empty before done().
  const std::string& protocol() const { return protocol_; }
  /// The proposal refused last; for messages.
  const std::string& refused() const { return refused_; }

 private:
  enum class State : std::uint8_t { kHeader, kProposal, kDone, kFailed };
  Result<> on_message(std::string text);

  std::function<bool(std::string_view)> supported_;
  std::size_t refusals_ = 0;
  State state_ = State::kHeader;
  MessageReader reader_;
  Bytes output_;
  std::string protocol_;
  std::string refused_;
};

}  // namespace warren::negotiate
