#include "security/tls/handshake.hpp"

#include "security/tls/failure.hpp"

namespace warren::security::tls {

Handshake::Handshake(std::shared_ptr<const Context> context, Side side,
                     std::optional<PeerId> expected, std::uint64_t records_per_key)
    : progress_([this] { return failure(); }, [this] { return end(); }),
      records_per_key_(records_per_key) {
  Session& session = progress_.session();
  session.verification.expected = std::move(expected);
  session.verification.now = context->now();
  session.ssl = context->make_ssl(side, session.verification);
  session.context = std::move(context);
  progress_.start(side == Side::kDialler);
}

SecureHandshake::Outcome Handshake::take_outcome() {
  auto session = progress_.take_session();
  Outcome outcome{.remote_key = session->verification.key,
                  .remote = session->verification.peer,
                  .muxer = std::move(muxer_),
                  .channel = nullptr};
  outcome.channel = std::make_unique<Channel>(std::move(session), records_per_key_);
  return outcome;
}

Error Handshake::failure() {
  auto& refused = progress_.session().verification.refused;
  return refused ? std::move(*refused).in("TLS handshake") : last_failure("TLS handshake");
}

Result<> Handshake::end() {
  const Session& session = progress_.session();
  WARREN_TRY(muxer_, session.context->muxer_of(session.ssl.get()));
  if (session.verification.key.empty()) {
    return fail(ErrorCode::kIntegrity, "TLS handshake: the peer showed no certificate");
  }
  return {};
}

}  // namespace warren::security::tls
