#include "resources/refusal_log.hpp"

#include <fmt/core.h>

namespace warren::resources {
namespace {

constexpr Duration kSayInterval = 60s;

std::string_view noun(Resource resource, bool many) {
  switch (resource) {
    case Resource::kMemory: return many ? "requests for memory" : "a request for memory";
    case Resource::kStreamsInbound:
    case Resource::kStreamsOutbound:
    case Resource::kStreams: return many ? "streams" : "a stream";
    case Resource::kConnectionsInbound:
    case Resource::kConnectionsOutbound:
    case Resource::kConnections:
    case Resource::kDescriptors:
    case Resource::kRate: return many ? "connections" : "a connection";
  }
  return "";
}

}  // namespace

void RefusalLog::add(ScopeKind scope, Resource resource, const std::string& who,
                     const std::string& why, TimePoint now) {
  Line& line = lines_[static_cast<std::size_t>(scope)][static_cast<std::size_t>(resource)];
  ++line.count;
  if (line.unsaid > 0 && line.who != who) line.several = true;
  ++line.unsaid;
  line.who = who;
  if (line.said && now < line.said_at + kSayInterval) return;
  const bool many = line.unsaid > 1;
  const std::string count = many ? fmt::format("{} ", line.unsaid) : std::string();
  report_(fmt::format("refused {}{}{} {}: {}", count, noun(resource, many),
                      line.several ? ", the last" : "", who, why));
  line.said = true;
  line.said_at = now;
  line.unsaid = 0;
  line.several = false;
}

std::vector<Refusals> RefusalLog::all() const {
  std::vector<Refusals> refused;
  for (std::size_t scope = 0; scope < kScopeKinds; ++scope) {
    for (std::size_t resource = 0; resource < kResources; ++resource) {
      const std::uint64_t count = lines_[scope][resource].count;
      if (count == 0) continue;
      refused.push_back({static_cast<ScopeKind>(scope), static_cast<Resource>(resource), count});
    }
  }
  return refused;
}

}  // namespace warren::resources
