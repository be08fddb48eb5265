#pragma once
// Changes of the machine's interfaces and addresses, told by the kernel over rtnetlink.

#include <boost/asio/io_context.hpp>
#include <memory>

#include "runtime/runtime.hpp"

namespace warren::runtime {

/// `context` and `runtime` must outlive it. Errors: of the system.
Result<std::unique_ptr<InterfaceWatch>> make_real_interface_watch(asio::io_context& context,
                                                                  Runtime& runtime);

}  // namespace warren::runtime
