#pragma once
// The differences between ngtcp2 0.12 (Debian 12) and 1.x in one place. Code elsewhere is written
// with the names of 1.x.

#include <gnutls/gnutls.h>
#include <ngtcp2/ngtcp2.h>
#include <ngtcp2/ngtcp2_crypto.h>
#include <ngtcp2/ngtcp2_crypto_gnutls.h>

#include <cstdint>

#if NGTCP2_VERSION_NUM < 0x010000
using ngtcp2_ccerr = ngtcp2_connection_close_error;
using ngtcp2_encryption_level = ngtcp2_crypto_level;
#define ngtcp2_ccerr_default ngtcp2_connection_close_error_default
#define ngtcp2_ccerr_set_liberr ngtcp2_connection_close_error_set_transport_error_liberr
#define ngtcp2_ccerr_set_tls_alert ngtcp2_connection_close_error_set_transport_error_tls_alert
#define ngtcp2_ccerr_set_application_error ngtcp2_connection_close_error_set_application_error
#define ngtcp2_conn_in_closing_period ngtcp2_conn_is_in_closing_period
#define ngtcp2_conn_in_draining_period ngtcp2_conn_is_in_draining_period
#endif

namespace warren::transport::quic {

struct Rtt {
  std::uint64_t smoothed_ns = 0;
  bool sampled = false;
  std::size_t timeouts = 0;  ///< Probe timeouts since the last acknowledgement.
};

#if NGTCP2_VERSION_NUM < 0x010000
inline Rtt rtt_of(ngtcp2_conn* conn) {
  ngtcp2_conn_stat stat{};
  ngtcp2_conn_get_conn_stat(conn, &stat);
  return {stat.smoothed_rtt, stat.first_rtt_sample_ts != UINT64_MAX, stat.pto_count};
}
inline ngtcp2_ccerr received_close(ngtcp2_conn* conn) {
  ngtcp2_ccerr error{};
  ngtcp2_conn_get_connection_close_error(conn, &error);
  return error;
}
inline int shutdown_write(ngtcp2_conn* conn, std::int64_t id, std::uint64_t code) {
  return ngtcp2_conn_shutdown_stream_write(conn, id, code);
}
inline int shutdown_read(ngtcp2_conn* conn, std::int64_t id, std::uint64_t code) {
  return ngtcp2_conn_shutdown_stream_read(conn, id, code);
}
inline void set_original_dcid(ngtcp2_transport_params& params, const ngtcp2_cid& id) {
  params.original_dcid = id;
}
inline void set_retry_scid(ngtcp2_transport_params& params, const ngtcp2_cid& id) {
  params.retry_scid = id;
  params.retry_scid_present = 1;
}
inline void set_token(ngtcp2_settings& settings, const ngtcp2_vec& token) {
  settings.token = token;
}
inline int secret_level(gnutls_record_encryption_level_t level) {
  return ngtcp2_crypto_gnutls_from_gnutls_record_encryption_level(level);
}
#else
inline Rtt rtt_of(ngtcp2_conn* conn) {
  ngtcp2_conn_info info{};
  ngtcp2_conn_get_conn_info(conn, &info);
  return {info.smoothed_rtt, info.smoothed_rtt != 0, 0};  // 1.x does not tell; it re-probes itself.
}
inline ngtcp2_ccerr received_close(ngtcp2_conn* conn) { return *ngtcp2_conn_get_ccerr(conn); }
inline int shutdown_write(ngtcp2_conn* conn, std::int64_t id, std::uint64_t code) {
  return ngtcp2_conn_shutdown_stream_write(conn, 0, id, code);
}
inline int shutdown_read(ngtcp2_conn* conn, std::int64_t id, std::uint64_t code) {
  return ngtcp2_conn_shutdown_stream_read(conn, 0, id, code);
}
inline void set_original_dcid(ngtcp2_transport_params& params, const ngtcp2_cid& id) {
  params.original_dcid = id;
  params.original_dcid_present = 1;
}
inline void set_retry_scid(ngtcp2_transport_params& params, const ngtcp2_cid& id) {
  params.retry_scid = id;
  params.retry_scid_present = 1;
}
inline void set_token(ngtcp2_settings& settings, const ngtcp2_vec& token) {
  settings.token = token.base;
  settings.tokenlen = token.len;
}
inline int secret_level(gnutls_record_encryption_level_t level) {
  return ngtcp2_crypto_gnutls_from_gnutls_record_encryption_level(level);
}
#endif

}  // namespace warren::transport::quic
