#include "security/tls/tls_security.hpp"

#include "security/tls/handshake.hpp"

namespace warren::security {
namespace tls {
namespace {

class Protocol final : public SecurityProtocol {
 public:
  explicit Protocol(std::shared_ptr<const Context> context) : context_(std::move(context)) {}
  std::string_view name() const override { return kTlsProtocol; }
  std::unique_ptr<SecureHandshake> start(Side side, std::optional<PeerId> expected) override {
    return std::make_unique<Handshake>(context_, side, std::move(expected));
  }

 private:
  std::shared_ptr<const Context> context_;
};

}  // namespace
}  // namespace tls

Result<std::unique_ptr<SecurityProtocol>> make_tls_security(const crypto::PrivateKey& identity,
                                                            std::vector<std::string> muxers,
                                                            WallClock now) {
  WARREN_TRY(auto context, tls::Context::create(identity, std::move(muxers), std::move(now)));
  return std::make_unique<tls::Protocol>(std::move(context));
}

}  // namespace warren::security
