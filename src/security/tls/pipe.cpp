#include "security/tls/pipe.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#include "crypto/openssl_handles.hpp"

namespace warren::security::tls {
namespace {

using MethodHandle = std::unique_ptr<BIO_METHOD, crypto::OpensslFree<BIO_meth_free>>;

Pipe& pipe_of(BIO* bio) { return *static_cast<Pipe*>(::BIO_get_data(bio)); }

int read_pipe(BIO* bio, char* to, std::size_t room, std::size_t* got) {
  Pipe& pipe = pipe_of(bio);
  ::BIO_clear_retry_flags(bio);
  *got = std::min(room, pipe.in.size());
  if (*got == 0) {
    ::BIO_set_retry_read(bio);
    return 0;
  }
  std::memcpy(to, pipe.in.data(), *got);
  pipe.in = pipe.in.subspan(*got);
  return 1;
}

int write_pipe(BIO* bio, const char* from, std::size_t count, std::size_t* written) {
  Pipe& pipe = pipe_of(bio);
  ::BIO_clear_retry_flags(bio);
  const BytesView bytes(reinterpret_cast<const std::uint8_t*>(from), count);
  *written = count;
  if (count <= pipe.out.size()) {
    if (count != 0) std::memcpy(pipe.out.data(), from, count);
    pipe.out = pipe.out.subspan(count);
  } else {
    append(pipe.spill, bytes);
  }
  return 1;
}

long control_pipe(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

MethodHandle make_method() {
  MethodHandle method(::BIO_meth_new(BIO_TYPE_SOURCE_SINK | ::BIO_get_new_index(), "span"));
  if (method != nullptr) {
    ::BIO_meth_set_read_ex(method.get(), read_pipe);
    ::BIO_meth_set_write_ex(method.get(), write_pipe);
    ::BIO_meth_set_ctrl(method.get(), control_pipe);
  }
  return method;
}

}  // namespace

BIO* new_pipe_bio(Pipe& pipe) {
  static const MethodHandle method = make_method();
  if (method == nullptr) return nullptr;
  BIO* const bio = ::BIO_new(method.get());
  if (bio == nullptr) return nullptr;
  ::BIO_set_data(bio, &pipe);
  ::BIO_set_init(bio, 1);
  return bio;
}

}  // namespace warren::security::tls
