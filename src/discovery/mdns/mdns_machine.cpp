#include "discovery/mdns/mdns_machine.hpp"

#include <algorithm>
#include <random>
#include <utility>

#include "base/check.hpp"

namespace warren::discovery {
namespace {

// Answers that several may give wait this long, so that they do not collide.
// Source: RFC 6762 section 6.
constexpr Duration kAnswerDelayMin = 20ms;
constexpr Duration kAnswerDelayMax = 120ms;
// No record is multicast more often on a link. Source: same.
constexpr Duration kAnswerGap = 1s;
// Unsolicited announcements after a start or change. Source: RFC 6762 section 8.3.
constexpr int kAnnouncements = 2;
// Questions that refresh() may cause are at least this far apart. Source: a person's patience and
// docs/protocols/mdns.md, "Timing".
constexpr Duration kQueryGapMin = 250ms;
// A peer is forgotten after this many questions that it did not answer.
constexpr int kMissedAnswersMax = 3;
constexpr std::size_t kOwnAddressesMax = 64;
constexpr std::size_t kCountersMax = 64;

}  // namespace

std::string random_peer_name(std::mt19937_64& rng) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::uniform_int_distribution<std::size_t> pick(0, kLetters.size() - 1);
  std::string name(40, ' ');
  for (char& c : name) c = kLetters[pick(rng)];
  return name;
}

Result<MdnsMachine> MdnsMachine::make(MdnsConfig config, std::mt19937_64& rng) {
  WARREN_TRY(MdnsNames names, MdnsNames::make(config.service, config.peer_name));
  return MdnsMachine(std::move(config), std::move(names), rng);
}

MdnsMachine::MdnsMachine(MdnsConfig config, MdnsNames names, std::mt19937_64& rng)
    : config_(std::move(config)),
      names_(std::move(names)),
      rng_(&rng),
      query_id_(std::uniform_int_distribution<std::uint16_t>(1, 0xffff)(rng)),
      table_(config_.limits) {}

std::vector<MdnsAction> MdnsMachine::handle(const LinkEvent& event, TimePoint now) {
  Actions out;
  if (stopped_) return out;
  std::visit([&](const auto& each) { on(each, now, out); }, event);
  if (!stopped_) {
    run_due(now, out);
    tell(now, out);
  }
  set_timer(now, out);
  check_invariants();
  return out;
}

// ----------------------------------------------------------------------------------- events

void MdnsMachine::on(const InterfacesChanged& event, TimePoint now, Actions& out) {
  std::map<std::uint32_t, const MdnsInterface*> wanted;
  for (const MdnsInterface& interface : event.interfaces) {
    if (wanted.size() == config_.limits.interfaces_max) break;
    if (interface.index != 0) wanted[interface.index] = &interface;
  }
  std::erase_if(links_, [&](const auto& entry) {
    if (wanted.contains(entry.first)) return false;
    table_.drop_interface(entry.first);
    return true;
  });
  for (const auto& [index, interface] : wanted) {
    Link& link = links_[index];
    if (link.interface == *interface) continue;
    link.interface = *interface;
    link.queries = 0;
    link.came_up = now;
    link.next_query = now;
    announce_own(link, now, out);
    counters_.try_emplace(index);
  }
  // Interfaces of containers come and go with ever new numbers.
  for (auto it = counters_.begin(); it != counters_.end() && counters_.size() > kCountersMax;) {
    it = links_.contains(it->first) ? std::next(it) : counters_.erase(it);
  }
}

void MdnsMachine::on(const AddressesChanged& event, TimePoint now, Actions& out) {
  own_addresses_.assign(event.addresses.begin(),
                        event.addresses.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                      event.addresses.size(), kOwnAddressesMax)));
  for (auto& [index, link] : links_) announce_own(link, now, out);
}

void MdnsMachine::on(const PacketReceived& event, TimePoint now, Actions&) {
  const auto found = links_.find(event.interface_index);
  if (found == links_.end()) return;
  Link& link = found->second;
  MdnsCounters& counters = counters_[event.interface_index];
  const Result<DnsMessage> message = decode_dns(event.bytes);
  if (!message) {
    ++counters.heard;
    // Other opcodes and error codes are to be ignored, not wrong. RFC 6762 section 18.
    if (message.error().code() != ErrorCode::kUnsupported) ++counters.malformed;
    return;
  }
  if (message->response) {
    hear_response(link, event, *message, now);
    return;
  }
  const bool own =
      message->id == query_id_ &&
      std::ranges::find(link.interface.addresses, event.from) != link.interface.addresses.end();
  if (own) return;  // Multicast comes back to its sender.
  ++counters.heard;
  hear_query(link, *message, now);
}

void MdnsMachine::on(const TimerFired&, TimePoint, Actions&) { timer_at_ = kNever; }

void MdnsMachine::on(const RefreshAsked&, TimePoint now, Actions&) {
  for (auto& [index, link] : links_) {
    link.next_query = std::min(link.next_query, std::max(now, link.last_query + kQueryGapMin));
  }
}

void MdnsMachine::on(const StopAsked&, TimePoint, Actions& out) {
  for (auto& [index, link] : links_) {
    if (link.answered) send_answer(link, 0s, out);
  }
  stopped_ = true;
}

// ---------------------------------------------------------------------------------- hearing

void MdnsMachine::hear_query(Link& link, const DnsMessage& message, TimePoint now) {
  bool for_us = false;
  bool for_all = false;
  for (const DnsQuestion& question : message.questions) {
    const bool pointer = question.type == DnsType::kPtr || question.type == DnsType::kAny;
    if (pointer && same_name(question.name, names_.services)) {
      const TimePoint at = now + jitter(kAnswerDelayMin, kAnswerDelayMax);
      link.services_at = std::min(link.services_at, std::max(at, link.last_services + kAnswerGap));
    }
    if (pointer && same_name(question.name, names_.service)) for_all = true;
    for_us = for_us || same_name(question.name, names_.instance) ||
             same_name(question.name, names_.host);
  }
  if (for_all && message.answers.empty() && link.queries > config_.first_queries.size()) {
    // The answers to this question go to all, us included: ours would ask for the same once more.
    // Source: RFC 6762 section 7.3.
    link.next_query = now + jitter(query_interval(), query_interval() * 6 / 5);
  }
  const bool known = std::ranges::any_of(message.answers, [&](const DnsRecord& record) {
    const auto* ptr = std::get_if<PtrData>(&record.data);
    return ptr != nullptr && same_name(record.name, names_.service) &&
           same_name(ptr->target, names_.instance) && record.ttl * 2 >= config_.ttl;
  });
  if (for_us || (for_all && !known)) {
    const TimePoint at = now + jitter(kAnswerDelayMin, kAnswerDelayMax);
    link.answer_at = std::min(link.answer_at, std::max(at, link.last_answer + kAnswerGap));
  }
}

void MdnsMachine::hear_response(Link& link, const PacketReceived& event, const DnsMessage& message,
                                TimePoint now) {
  MdnsCounters& counters = counters_[event.interface_index];
  const bool own = std::ranges::any_of(message.answers, [&](const DnsRecord& record) {
    const auto* ptr = std::get_if<PtrData>(&record.data);
    return ptr != nullptr && same_name(ptr->target, names_.instance);
  });
  if (own) return;
  ++counters.heard;
  for (const Announcement& each :
       read_announcements(message, names_, config_.self, link.interface)) {
    ++counters.heard_peers;
    if (each.ttl.count() == 0) {
      table_.goodbye(each.name, event.interface_index);
      continue;
    }
    // Questions keep coming, so a peer that stays silent is gone before its records say so.
    const Duration lifetime = std::min<Duration>(std::min<std::chrono::seconds>(each.ttl, 1h),
                                                 query_interval() * kMissedAnswersMax);
    if (!table_.hear(each, link.interface, event.from, now, now + lifetime)) {
      ++counters.refused_peers;
    }
  }
}

// ---------------------------------------------------------------------------------- sending

void MdnsMachine::announce_own(Link& link, TimePoint now, Actions& out) {
  auto texts = address_texts(own_addresses_, config_.self, link.interface,
                             config_.limits.addresses_per_peer_max);
  if (texts == link.announced) return;
  if (texts.empty() && link.answered) {
    send_answer(link, 0s, out);
    link.answered = false;
  }
  link.announced = std::move(texts);
  link.announcements_left = link.announced.empty() ? 0 : kAnnouncements;
  link.answer_at = link.announced.empty() ? kNever : std::max(now, link.last_answer + kAnswerGap);
}

void MdnsMachine::send_answer(Link& link, std::chrono::seconds ttl, Actions& out) {
  for (Bytes& packet : encode_announcement(names_, link.announced, link.interface, ttl)) {
    out.push_back(SendPacket{link.interface.index, std::move(packet)});
  }
}

void MdnsMachine::send_query(Link& link, TimePoint now, Actions& out) {
  out.push_back(SendPacket{link.interface.index, encode_query(names_, query_id_)});
  link.last_query = now;
  const std::size_t sent = ++link.queries;
  if (sent <= config_.first_queries.size()) {
    link.next_query = std::max(now + kQueryGapMin, link.came_up + config_.first_queries[sent - 1]);
  } else {
    link.next_query = now + jitter(query_interval(), query_interval() * 6 / 5);
  }
  // A node answers its own question, so that those who only listen hear of it.
  // Source: libp2p specs, discovery/mdns.md, Request.
  if (link.announced.empty()) return;
  const TimePoint at = now + jitter(kAnswerDelayMin, kAnswerDelayMax);
  link.answer_at = std::min(link.answer_at, std::max(at, link.last_answer + kAnswerGap));
}

void MdnsMachine::run_due(TimePoint now, Actions& out) {
  for (auto& [index, link] : links_) {
    if (link.next_query <= now) send_query(link, now, out);
    if (link.answer_at <= now) {
      link.answer_at = kNever;
      send_answer(link, config_.ttl, out);
      if (!link.announced.empty()) {
        link.last_answer = now;
        link.answered = true;
        if (link.announcements_left > 0 && --link.announcements_left > 0) {
          link.answer_at = now + kAnswerGap;
        }
      }
    }
    if (link.services_at <= now) {
      link.services_at = kNever;
      link.last_services = now;
      out.push_back(SendPacket{index, encode_services(names_, config_.ttl)});
    }
  }
}

void MdnsMachine::tell(TimePoint now, Actions& out) {
  const auto hint = [](KnownPeer& known) {
    return PeerHint{std::move(known.peer), std::move(known.addresses), kMdnsName, known.seen};
  };
  for (KnownPeer& known : table_.take_lost(now)) out.push_back(TellLost{hint(known)});
  for (KnownPeer& known : table_.take_found(now)) out.push_back(TellFound{hint(known)});
}

void MdnsMachine::set_timer(TimePoint now, Actions& out) {
  TimePoint next = kNever;
  if (!stopped_) {
    next = table_.next_due(now);
    for (const auto& [index, link] : links_) {
      next = std::min({next, link.next_query, link.answer_at, link.services_at});
    }
  }
  if (next == timer_at_) return;
  timer_at_ = next;
  out.push_back(SetTimer{next});
}

Duration MdnsMachine::query_interval() const {
  const auto wished = config_.query_gap_per_peer * static_cast<int>(table_.peers());
  return std::max(config_.query_interval, std::min(wished, config_.query_interval_max));
}

Duration MdnsMachine::jitter(Duration low, Duration high) {
  return Duration(std::uniform_int_distribution<Duration::rep>(low.count(), high.count())(*rng_));
}

void MdnsMachine::check_invariants() const {
  table_.check_invariants();
  WARREN_CHECK(links_.size() <= config_.limits.interfaces_max);
  for (const auto& [index, link] : links_) {
    WARREN_CHECK(link.interface.index == index);
    WARREN_CHECK(link.announced.size() <= config_.limits.addresses_per_peer_max);
    WARREN_CHECK(!link.announced.empty() || link.announcements_left == 0);
  }
}

}  // namespace warren::discovery
