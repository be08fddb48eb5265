#include "node/machine/machine.hpp"

#include "library/reserved.hpp"
#include "node/machine/options.hpp"
#include "node/machine/transports.hpp"
#include "runtime/tree_watch.hpp"

namespace warren::node {
namespace {

NodeOptions adjusted(const MachineOptions& options, runtime::RealRuntime& runtime,
                     resources::Manager& resources) {
  NodeOptions made = node_options(options.config, options.paths, resources);
  made.library.watch = [&runtime, most = made.library.limits.watches_max](std::string path) {
    return runtime::make_tree_watch(runtime.context(), runtime, std::move(path), most,
                                    library::is_reserved);
  };
  if (options.adjust) options.adjust(made);
  return made;
}

}  // namespace

Machine::Machine(const MachineOptions& options, const crypto::PrivateKey& identity)
    : resources_(
          [this] { return runtime_.now(); },
          {.limits = resource_limits(options.config, options.descriptors_max), .report = {}}),
      node_(runtime_, identity, adjusted(options, runtime_, resources_)) {}

Result<std::unique_ptr<Machine>> Machine::make(const MachineOptions& options,
                                               const crypto::PrivateKey& identity) {
  std::unique_ptr<Machine> machine(new Machine(options, identity));
  WARREN_TRY_VOID(add_transports(machine->node_, machine->runtime_, identity, machine->resources_));
  return machine;
}

}  // namespace warren::node
