#pragma once
// What the API shows of a node, as JSON. Sizes are bytes, durations seconds, rates bytes a second,
// ids whole. Fields may be added; changing or removing one is a new version of the API.

#include "api/exchange.hpp"
#include "content/store.hpp"
#include "content/verify.hpp"
#include "library/library_service.hpp"
#include "node/config_schema.hpp"
#include "node/doctor.hpp"
#include "node/node_types.hpp"
#include "peers/peer_book.hpp"
#include "transfer/transfer_types.hpp"

namespace warren::api {

double seconds_of(Duration duration);
/// RFC 3339 in UTC, to the second.
std::string time_text(WallTime time);

Json status_view(const node::NodeStatus& status);
Json peer_view(const node::PeerView& peer);
Json ban_view(const peers::Ban& ban);
/// A source of peers with what it saw.
Json discovery_view(const node::DiscoveryView& source);
Json share_view(const content::ShareInfo& share);
/// A library folder, and an entry of one.
Json folder_view(const library::FolderView& view);
Json entry_view(const library::EntryView& view);
Json listing_view(const library::Listing& listing);
Json skipped_view(const std::vector<content::Skipped>& skipped);
/// A progress line of an import or verification: `phase` is "hashing" or "verifying". The rate is
/// the average over `elapsed`.
Json job_line(const content::Progress& progress, std::string_view phase, Duration elapsed);
/// A transfer, as in lists and, with "type" added, in progress lines.
Json transfer_view(const transfer::Progress& progress);
Json error_view(const Error& error);
/// What the doctor found: name, verdict ("ok", "warn", "fail"), detail, fix.
Json checks_view(const std::vector<node::Check>& checks);
/// Every key with its value in force (sizes in bytes, times in seconds) and as text.
Json config_view(const std::vector<node::Effective>& settings);

}  // namespace warren::api
