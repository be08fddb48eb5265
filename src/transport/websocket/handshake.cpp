#include "transport/websocket/handshake.hpp"

#include <algorithm>
#include <array>

#include "transport/websocket/http_upgrade.hpp"

namespace warren::transport::websocket {
namespace {

using runtime::awaitable;
using runtime::ByteStream;

constexpr std::size_t kReadBytes = 2048;

awaitable<Result<Head>> read_head(ByteStream& stream, TimePoint deadline) {
  Head head;
  Bytes buffer(kReadBytes);
  for (;;) {
    WARREN_CO_TRY(const std::size_t got, co_await stream.read_some(buffer, deadline));
    if (got == 0) {
      co_return fail(ErrorCode::kReset, "WebSocket: the peer closed within the HTTP head");
    }
    WARREN_CO_TRY(const bool whole, head.add(BytesView(buffer).first(got)));
    if (whole) co_return head;
  }
}

awaitable<Result<>> write_text(ByteStream& stream, std::string_view text, TimePoint deadline) {
  const BytesView part = as_bytes(text);
  co_return co_await stream.write_all({&part, 1}, deadline);
}

}  // namespace

awaitable<Result<std::unique_ptr<ByteStream>>> connect_websocket(std::shared_ptr<Shared> shared,
                                                                 std::unique_ptr<ByteStream> inner,
                                                                 std::string host,
                                                                 TimePoint deadline) {
  deadline = std::min(deadline, shared->runtime.now() + kUpgradeTimeMax);
  std::array<std::uint8_t, kKeyBytes> random{};
  shared->runtime.random_bytes(random);
  const std::string key = key_text(random);
  const std::string request = make_request(host, key);
  WARREN_CO_TRY_VOID(co_await write_text(*inner, request, deadline));
  WARREN_CO_TRY(const Head head, co_await read_head(*inner, deadline));
  WARREN_CO_TRY_VOID(check_response(head.text(), key));
  co_return make_websocket_stream(std::move(shared), std::move(inner), Role::kClient,
                                  to_bytes(head.rest()));
}

awaitable<Result<std::unique_ptr<ByteStream>>> accept_websocket(std::shared_ptr<Shared> shared,
                                                                std::unique_ptr<ByteStream> inner,
                                                                TimePoint deadline) {
  deadline = std::min(deadline, shared->runtime.now() + kUpgradeTimeMax);
  WARREN_CO_TRY(const Head head, co_await read_head(*inner, deadline));
  const Answer answer = answer_request(head.text());
  WARREN_CO_TRY_VOID(co_await write_text(*inner, answer.text, deadline));
  if (!answer.agreed) {
    (void)inner->close_write();
    co_return fail(answer.agreed.error());
  }
  co_return make_websocket_stream(std::move(shared), std::move(inner), Role::kServer,
                                  to_bytes(head.rest()));
}

}  // namespace warren::transport::websocket
