#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "embed/core.hpp"
#include "warren/node.hpp"

namespace warren::v1 {

class __attribute__((visibility("hidden"))) Node::Impl {
 public:
  /// What can be said of a node in every state.
  struct Self {
    std::string peer_id;
    std::vector<std::uint8_t> public_key;
  };
  Impl(Self self, std::unique_ptr<embed::Core> core)
      : self_(std::move(self)), core_(std::move(core)) {}
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  const Self& self() const { return self_; }
  embed::Core& core() { return *core_; }

 private:
  Self self_;
  std::unique_ptr<embed::Core> core_;
};

}  // namespace warren::v1
