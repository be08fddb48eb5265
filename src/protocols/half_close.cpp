#include "protocols/half_close.hpp"

namespace warren::protocols {

runtime::awaitable<Result<>> close_write_behind(transport::Stream& stream,
                                                const transport::ConnectionInfo& connection,
                                                TimePoint deadline) {
  if (connection.transport == "tcp" || connection.transport == "ws") {
    WARREN_CO_TRY_VOID(co_await stream.flush(deadline));
  }
  stream.close_write();
  co_return Result<>{};
}

}  // namespace warren::protocols
