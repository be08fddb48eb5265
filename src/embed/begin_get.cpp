#include "embed/begin_get.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace warren::embed {

namespace asio = boost::asio;

runtime::awaitable<Result<transfer::TransferId>> begin_get(node::Node* node,
                                                           node::GetOptions wanted,
                                                           TimePoint deadline) {
  WARREN_CO_TRY(const transfer::TransferId id, co_await node->get(std::move(wanted)));
  if (node->runtime().now() < deadline) co_return id;
  // The deadline has cancelled this task; pausing must end all the same.
  co_await asio::co_spawn(
      node->runtime().executor(), node->transfers().pause(id),
      asio::bind_cancellation_slot(asio::cancellation_slot(), asio::use_awaitable));
  co_return fail(ErrorCode::kTimedOut, "the transfer did not begin in time");
}

}  // namespace warren::embed
