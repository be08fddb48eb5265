#include "transport/quic/callbacks.hpp"

#include "base/log.hpp"

namespace warren::transport::quic {

namespace {
// Source: CVE-2023-39322 of the Go standard library, which takes as many.
constexpr std::uint64_t kLateCryptoBytesMax = 65'536;
// The library's decrypt callback is given nothing of ours.
thread_local OpenedPackets* opened_packets = nullptr;
}  // namespace

OpenedPackets::OpenedPackets() { opened_packets = this; }
OpenedPackets::~OpenedPackets() { opened_packets = nullptr; }

/// Friend of QuicConnection: the only code between the C library and its private parts.
struct Callbacks {
  static QuicConnection& self(void* user_data) { return *static_cast<QuicConnection*>(user_data); }

  static int handshake_completed(ngtcp2_conn*, void* user_data) {
    self(user_data).on_handshake_completed();
    return 0;
  }

  static int recv_stream_data(ngtcp2_conn*, std::uint32_t flags, std::int64_t id, std::uint64_t,
                              const std::uint8_t* data, std::size_t size, void* user_data, void*) {
    QuicConnection& connection = self(user_data);
    const auto found = connection.streams_.find(id);
    if (found == connection.streams_.end()) return 0;
    found->second->on_data({data, size}, (flags & NGTCP2_STREAM_DATA_FLAG_FIN) != 0);
    return 0;
  }

  static int acked_stream_data_offset(ngtcp2_conn*, std::int64_t id, std::uint64_t,
                                      std::uint64_t count, void* user_data, void*) {
    QuicConnection& connection = self(user_data);
    const auto found = connection.streams_.find(id);
    if (found != connection.streams_.end()) found->second->on_acked(count);
    return 0;
  }

  static int stream_open(ngtcp2_conn*, std::int64_t id, void* user_data) {
    QuicConnection& connection = self(user_data);
    if (!ngtcp2_is_bidi_stream(id)) return 0;  // None is allowed; the library refuses them.
    connection.accepted_.push_back(std::make_unique<QuicStream>(connection.add_stream(id)));
    connection.accept_signal_->notify();
    return 0;
  }

  static int stream_close(ngtcp2_conn* conn, std::uint32_t, std::int64_t id, std::uint64_t,
                          void* user_data, void*) {
    self(user_data).remove_stream(id);
    if (!ngtcp2_conn_is_local_stream(conn, id)) ngtcp2_conn_extend_max_streams_bidi(conn, 1);
    return 0;
  }

  static int stream_reset(ngtcp2_conn*, std::int64_t id, std::uint64_t, std::uint64_t code,
                          void* user_data, void*) {
    QuicConnection& connection = self(user_data);
    const auto found = connection.streams_.find(id);
    if (found != connection.streams_.end()) found->second->on_reset(code);
    return 0;
  }

  static int extend_max_local_streams_bidi(ngtcp2_conn*, std::uint64_t, void* user_data) {
    self(user_data).stream_credit_.notify_all();
    return 0;
  }

  static void rand(std::uint8_t* out, std::size_t size, const ngtcp2_rand_ctx* context) {
    static_cast<runtime::Runtime*>(context->native_handle)->random_bytes({out, size});
  }

  static int get_new_connection_id(ngtcp2_conn*, ngtcp2_cid* id, std::uint8_t* token,
                                   std::size_t size, void* user_data) {
    QuicConnection& connection = self(user_data);
    if (connection.owner_ == nullptr) return NGTCP2_ERR_CALLBACK_FAILURE;
    id->datalen = size;
    connection.runtime_.random_bytes({id->data, size});
    connection.owner_->make_reset_token(*id, token);
    connection.cids_.emplace_back(*id);
    connection.owner_->register_cid(connection.cids_.back(), connection);
    return 0;
  }

  static int remove_connection_id(ngtcp2_conn*, const ngtcp2_cid* id, void* user_data) {
    QuicConnection& connection = self(user_data);
    const CidKey key(*id);
    std::erase(connection.cids_, key);
    if (connection.owner_ != nullptr) connection.owner_->unregister_cid(key);
    return 0;
  }

  static int recv_crypto_data(ngtcp2_conn* conn, ngtcp2_encryption_level level,
                              std::uint64_t offset, const std::uint8_t* data, std::size_t size,
                              void* user_data) {
    QuicConnection& connection = self(user_data);
    // The TLS library gathers messages of any length. After the handshake there is little to say: a
    // session ticket or two.
    if (connection.ready_) {
      connection.late_crypto_bytes_ += size;
      if (connection.late_crypto_bytes_ > kLateCryptoBytesMax) {
        connection.verify_error_ =
            Error(ErrorCode::kTooLarge,
                  "the peer sent more than 65536 bytes of TLS messages after the handshake");
        return NGTCP2_ERR_CRYPTO;
      }
    }
    return ngtcp2_crypto_recv_crypto_data_cb(conn, level, offset, data, size, user_data);
  }

  static int decrypt(std::uint8_t* out, const ngtcp2_crypto_aead* aead,
                     const ngtcp2_crypto_aead_ctx* context, const std::uint8_t* in,
                     std::size_t size, const std::uint8_t* nonce, std::size_t nonce_size,
                     const std::uint8_t* header, std::size_t header_size) {
    const int code = ngtcp2_crypto_decrypt_cb(out, aead, context, in, size, nonce, nonce_size,
                                              header, header_size);
    if (code == 0 && opened_packets != nullptr) ++opened_packets->count_;
    return code;
  }

  static int recv_stateless_reset(ngtcp2_conn*, const ngtcp2_pkt_stateless_reset*, void*) {
    return 0;  // read_pkt reports it as draining.
  }

  static int verify(gnutls_session_t session) {
    const auto* ref = static_cast<ngtcp2_crypto_conn_ref*>(gnutls_session_get_ptr(session));
    QuicConnection& connection = self(ref->user_data);
    auto key = verify_peer(session, connection.expected_, connection.runtime_.wall_now());
    if (!key) {
      log::debug("quic", "{}: {}", connection.remote_.to_string(), key.error().message());
      connection.verify_error_ = std::move(key).error();
      return GNUTLS_E_CERTIFICATE_ERROR;
    }
    connection.info_.remote_peer = PeerId::from_public_key(key->protobuf());
    connection.info_.remote_key = std::move(*key);
    return 0;
  }
};

ngtcp2_callbacks make_callbacks(bool server) {
  ngtcp2_callbacks callbacks{};
  if (server) {
    callbacks.recv_client_initial = ngtcp2_crypto_recv_client_initial_cb;
  } else {
    callbacks.client_initial = ngtcp2_crypto_client_initial_cb;
    callbacks.recv_retry = ngtcp2_crypto_recv_retry_cb;
  }
  callbacks.recv_crypto_data = Callbacks::recv_crypto_data;
  callbacks.handshake_completed = Callbacks::handshake_completed;
  callbacks.encrypt = ngtcp2_crypto_encrypt_cb;
  callbacks.decrypt = Callbacks::decrypt;
  callbacks.hp_mask = ngtcp2_crypto_hp_mask_cb;
  callbacks.recv_stream_data = Callbacks::recv_stream_data;
  callbacks.acked_stream_data_offset = Callbacks::acked_stream_data_offset;
  callbacks.stream_open = Callbacks::stream_open;
  callbacks.stream_close = Callbacks::stream_close;
  callbacks.stream_reset = Callbacks::stream_reset;
  callbacks.extend_max_local_streams_bidi = Callbacks::extend_max_local_streams_bidi;
  callbacks.rand = Callbacks::rand;
  callbacks.get_new_connection_id = Callbacks::get_new_connection_id;
  callbacks.remove_connection_id = Callbacks::remove_connection_id;
  callbacks.recv_stateless_reset = Callbacks::recv_stateless_reset;
  callbacks.update_key = ngtcp2_crypto_update_key_cb;
  callbacks.delete_crypto_aead_ctx = ngtcp2_crypto_delete_crypto_aead_ctx_cb;
  callbacks.delete_crypto_cipher_ctx = ngtcp2_crypto_delete_crypto_cipher_ctx_cb;
  callbacks.get_path_challenge_data = ngtcp2_crypto_get_path_challenge_data_cb;
  callbacks.version_negotiation = ngtcp2_crypto_version_negotiation_cb;
  return callbacks;
}

int verify_certificate_callback(gnutls_session_t session) { return Callbacks::verify(session); }

}  // namespace warren::transport::quic
