#pragma once
// From the types of the inside to those of the surface.

#include <optional>
#include <string>
#include <utility>

#include "base/result.hpp"
#include "base/time.hpp"
#include "content/store.hpp"
#include "node/events.hpp"
#include "node/node.hpp"
#include "node/node_types.hpp"
#include "transfer/transfer_types.hpp"
#include "warren/error.hpp"
#include "warren/event.hpp"
#include "warren/node.hpp"
#include "warren/peer_info.hpp"
#include "warren/result.hpp"

namespace warren::embed {

/// A hint that speaks of the command line is left out: a program cannot follow it.
v1::Error to_public(Error error);

/// The error half of any v1::Result.
std::unexpected<v1::Error> fail_public(v1::ErrorCode code, std::string message,
                                       std::string hint = {});

template <class T>
v1::Result<T> to_public(Result<T> result) {
  if (!result) return std::unexpected(to_public(std::move(result).error()));
  if constexpr (std::is_void_v<T>) {
    return {};
  } else {
    return *std::move(result);
  }
}

/// As a duration between nothing and a year.
Duration time_of(v1::Timeout timeout);

v1::Time to_public(WallTime time);

/// `now`: of this moment, for the times that the view gives as durations.
v1::PeerInfo to_public(const node::PeerView& view, WallTime now);
/// `node`: where the event happened, for what the event itself does not say. Nothing for a kind
/// that the surface does not tell of.
std::optional<v1::Event> to_public(const node::NodeEvent& event, const node::Node& node);
v1::ShareInfo to_public(const content::ShareInfo& info);
v1::GetProgress progress_of(const transfer::Progress& progress);
v1::TransferChanged change_of(const transfer::Progress& progress);

}  // namespace warren::embed
