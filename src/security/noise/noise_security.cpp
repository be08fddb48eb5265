#include "security/noise/noise_security.hpp"

#include "base/check.hpp"

namespace warren::security::noise {
namespace {

class NoiseChannel final : public SecureChannel {
 public:
  explicit NoiseChannel(Channel channel) : channel_(std::move(channel)) {}

  std::size_t bulk_bytes() const override { return kPlaintextBytesMax; }
  std::size_t sealed_bytes_max(std::size_t count) const override {
    return count + kFrameOverheadBytes;
  }
  std::size_t frame_bytes_max() const override { return kFrameBytesMax; }

  Result<std::size_t> seal(std::span<const BytesView> parts, MutableBytes out) override {
    if (failed_) return fail(*failed_);
    std::size_t count = kFrameOverheadBytes;
    for (const BytesView part : parts) count += part.size();
    WARREN_CHECK(count <= kFrameBytesMax && count <= out.size());
    WARREN_TRY_VOID(channel_.seal(parts, out.first(count)));
    return count;
  }

  Result<Opened> open(MutableBytes buffered) override {
    const auto opened = channel_.open(buffered);
    if (!opened) {
      failed_ = opened.error();
      return fail(*failed_);
    }
    if (!*opened) return Opened{};
    return Opened{.plaintext = (*opened)->plaintext, .taken = (*opened)->frame_bytes, .end = false};
  }

  Bytes take_output() override { return {}; }
  Bytes close() override { return {}; }
  bool has_goodbye() const override { return false; }

 private:
  Channel channel_;
  std::optional<Error> failed_;  // Of open(): what follows a lost frame is not sent either.
};

class NoiseHandshake final : public SecureHandshake {
 public:
  explicit NoiseHandshake(Handshake handshake) : handshake_(std::move(handshake)) {}

  Bytes take_output() override { return handshake_.take_output(); }
  std::size_t wants() const override { return handshake_.wants(); }
  Result<std::size_t> feed(BytesView in) override { return handshake_.feed(in); }
  bool done() const override { return handshake_.done(); }
  Outcome take_outcome() override {
    Handshake::Outcome outcome = handshake_.take_outcome();
    return {.remote_key = std::move(outcome.remote_key),
            .remote = std::move(outcome.remote),
            .muxer = std::move(outcome.muxer),
            .channel = std::make_unique<NoiseChannel>(std::move(outcome.channel))};
  }

 private:
  Handshake handshake_;
};

class NoiseSecurity final : public SecurityProtocol {
 public:
  NoiseSecurity(std::shared_ptr<const Credentials> credentials, RandomBytes random)
      : credentials_(std::move(credentials)), random_(std::move(random)) {}

  std::string_view name() const override { return kProtocol; }
  std::unique_ptr<SecureHandshake> start(Side side, std::optional<PeerId> expected) override {
    const Role role = side == Side::kDialler ? Role::kInitiator : Role::kResponder;
    return std::make_unique<NoiseHandshake>(
        Handshake(role, credentials_, std::move(expected), random_));
  }

 private:
  std::shared_ptr<const Credentials> credentials_;
  RandomBytes random_;
};

}  // namespace

std::unique_ptr<SecurityProtocol> make_noise_security(
    std::shared_ptr<const Credentials> credentials, RandomBytes random) {
  return std::make_unique<NoiseSecurity>(std::move(credentials), std::move(random));
}

}  // namespace warren::security::noise
