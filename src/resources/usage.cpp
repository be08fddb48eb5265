#include "resources/usage.hpp"

namespace warren::resources {

std::string_view resource_name(Resource resource) {
  switch (resource) {
    case Resource::kMemory: return "memory";
    case Resource::kStreamsInbound: return "streams_inbound";
    case Resource::kStreamsOutbound: return "streams_outbound";
    case Resource::kStreams: return "streams";
    case Resource::kConnectionsInbound: return "connections_inbound";
    case Resource::kConnectionsOutbound: return "connections_outbound";
    case Resource::kConnections: return "connections";
    case Resource::kDescriptors: return "descriptors";
    case Resource::kRate: return "rate";
  }
  return "";
}

std::string_view scope_name(ScopeKind kind) {
  switch (kind) {
    case ScopeKind::kNode: return "node";
    case ScopeKind::kTransient: return "transient";
    case ScopeKind::kAllowed: return "allowed";
    case ScopeKind::kPeer: return "peer";
    case ScopeKind::kProtocol: return "protocol";
    case ScopeKind::kProtocolPeer: return "protocol_peer";
    case ScopeKind::kConnection: return "connection";
    case ScopeKind::kStream: return "stream";
    case ScopeKind::kSource: return "source";
  }
  return "";
}

}  // namespace warren::resources
