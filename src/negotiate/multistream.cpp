#include "negotiate/multistream.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "base/check.hpp"
#include "base/varint.hpp"

namespace warren::negotiate {
namespace {

constexpr std::string_view kRefusal = "na";
constexpr std::string_view kList = "ls";
// kMessageBytesMax fits in two bytes of varint; a third is refused unread.
constexpr std::size_t kPrefixBytesMax = 2;

/// What a peer sent, short and printable, for an error text.
std::string quoted(std::string_view text) {
  constexpr std::size_t kShownMax = 64;
  std::string out = "\"";
  for (const char c : text.substr(0, kShownMax)) {
    out += c >= 0x20 && c < 0x7f && c != '"' ? c : '?';
  }
  out += text.size() > kShownMax ? "...\"" : "\"";
  return out;
}

Error wrong_header(std::string_view text) {
  return {ErrorCode::kMalformed,
          fmt::format("the peer opened with {} instead of \"{}\"", quoted(text), kHeader)};
}

/// Feeds whole messages to `on_message` until `in` is empty or `wanted` says that no more may come.
template <class Wanted, class OnMessage>
Result<std::size_t> feed_messages(MessageReader& reader, BytesView in, Wanted wanted,
                                  OnMessage on_message) {
  std::size_t taken = 0;
  while (wanted() && taken < in.size()) {
    WARREN_TRY(const std::size_t n, reader.feed(in.subspan(taken)));
    taken += n;
    if (auto text = reader.take()) WARREN_TRY_VOID(on_message(std::move(*text)));
  }
  return taken;
}

}  // namespace

bool is_valid_protocol(std::string_view id) {
  return !id.empty() && id.size() < kMessageBytesMax && id.find('\n') == std::string_view::npos &&
         id != kRefusal && id != kList && id != kHeader;
}

void append_message(Bytes& out, std::string_view text) {
  append_uvarint(out, text.size() + 1);
  append(out, as_bytes(text));
  out.push_back('\n');
}

// --------------------------------------------------------------------------- MessageReader

std::size_t MessageReader::wants() const noexcept {
  return length_ == 0 ? 1 : length_ - text_.size();
}

Result<std::size_t> MessageReader::feed(BytesView in) {
  std::size_t taken = 0;
  while (length_ == 0 && taken < in.size()) {
    prefix_.push_back(in[taken++]);
    WARREN_TRY(const auto length, read_uvarint(prefix_));
    if (!length) {
      if (prefix_.size() < kPrefixBytesMax) continue;
      return fail(ErrorCode::kTooLarge,
                  fmt::format("a negotiation message of more than {} bytes", kMessageBytesMax));
    }
    if (length->value == 0) return fail(ErrorCode::kMalformed, "an empty negotiation message");
    if (length->value > kMessageBytesMax) {
      return fail(ErrorCode::kTooLarge,
                  fmt::format("a negotiation message of {} bytes, the most is {}", length->value,
                              kMessageBytesMax));
    }
    if (header_due_ && length->value != kHeader.size() + 1) {
      return fail(ErrorCode::kMalformed,
                  fmt::format("the peer opened with a message of {} bytes instead of \"{}\"",
                              length->value, kHeader));
    }
    length_ = static_cast<std::size_t>(length->value);
  }
  if (length_ == 0) return taken;
  const std::size_t n = std::min(length_ - text_.size(), in.size() - taken);
  text_ += as_text(in.subspan(taken, n));
  taken += n;
  if (text_.size() == length_ && text_.find('\n') != length_ - 1) {
    return fail(
        ErrorCode::kMalformed,
        fmt::format("a negotiation message without a newline at its end: {}", quoted(text_)));
  }
  return taken;
}

std::optional<std::string> MessageReader::take() {
  if (length_ == 0 || text_.size() < length_) return std::nullopt;
  text_.pop_back();
  prefix_.clear();
  length_ = 0;
  header_due_ = false;
  return std::exchange(text_, {});
}

// ------------------------------------------------------------------------------- Initiator

Initiator::Initiator(std::vector<std::string> protocols) : protocols_(std::move(protocols)) {
  WARREN_CHECK(!protocols_.empty() && std::ranges::all_of(protocols_, is_valid_protocol));
  append_message(output_, kHeader);
  append_message(output_, protocol());
}

Bytes Initiator::take_output() { return std::exchange(output_, {}); }

std::size_t Initiator::wants() const noexcept {
  return state_ == State::kHeader || state_ == State::kAnswer ? reader_.wants() : 0;
}

Result<std::size_t> Initiator::feed(BytesView in) {
  WARREN_CHECK(state_ != State::kFailed);
  auto taken = feed_messages(
      reader_, in, [this] { return wants() > 0; },
      [this](const std::string& text) { return on_message(text); });
  if (!taken) state_ = State::kFailed;
  return taken;
}

Result<> Initiator::on_message(const std::string& text) {
  if (state_ == State::kHeader) {
    if (text != kHeader) return fail(wrong_header(text));
    state_ = State::kAnswer;
    return {};
  }
  if (text == protocol()) {
    state_ = State::kDone;
    return {};
  }
  if (text != kRefusal) {
    return fail(ErrorCode::kMalformed, fmt::format("the peer answered {} to the proposal {}",
                                                   quoted(text), quoted(protocol())));
  }
  if (proposed_ + 1 == protocols_.size()) {
    std::string all = quoted(protocols_.front());
    for (std::size_t i = 1; i < protocols_.size(); ++i) all += ", " + quoted(protocols_[i]);
    return fail(ErrorCode::kUnsupported, fmt::format("the peer does not speak {}", all));
  }
  ++proposed_;
  append_message(output_, protocol());
  return {};
}

// ------------------------------------------------------------------------------- Responder

Responder::Responder(std::function<bool(std::string_view)> supported)
    : supported_(std::move(supported)) {
  append_message(output_, kHeader);
}

Bytes Responder::take_output() { return std::exchange(output_, {}); }

std::size_t Responder::wants() const noexcept {
  return state_ == State::kHeader || state_ == State::kProposal ? reader_.wants() : 0;
}

Result<std::size_t> Responder::feed(BytesView in) {
  WARREN_CHECK(state_ != State::kFailed);
  auto taken = feed_messages(
      reader_, in, [this] { return wants() > 0; },
      [this](std::string text) { return on_message(std::move(text)); });
  if (!taken) state_ = State::kFailed;
  return taken;
}

Result<> Responder::on_message(std::string text) {
  if (state_ == State::kHeader) {
    if (text != kHeader) return fail(wrong_header(text));
    state_ = State::kProposal;
    return {};
  }
  // "ls" is optional and answered like an unknown protocol, as today's implementations do.
  if (is_valid_protocol(text) && supported_(text)) {
    append_message(output_, text);
    protocol_ = std::move(text);
    state_ = State::kDone;
    return {};
  }
  refused_ = std::move(text);
  if (++refusals_ == kProposalsMax) {
    return fail(ErrorCode::kUnsupported,
                fmt::format("none of {} proposals is spoken here, the last was {}", kProposalsMax,
                            quoted(refused_)));
  }
  append_message(output_, kRefusal);
  return {};
}

}  // namespace warren::negotiate
