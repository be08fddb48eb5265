#pragma once
// The inside of CatalogService. catalog_following.cpp: our subscriptions; catalog_serving.cpp:
// those of others; catalog_needs.cpp: what each lacks of the other; catalog_own.cpp: what this node
// has itself. Internal to the module.

#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "catalog/catalog_service.hpp"
#include "catalog/need_exchange.hpp"
#include "catalog/publisher.hpp"
#include "catalog/subscriber.hpp"
#include "discovery/exchange/allowances.hpp"
#include "runtime/task_group.hpp"
#include "runtime/wait_list.hpp"
#include "transport/frame_io.hpp"

namespace warren::catalog {

/// What a subscriber has reported that it lacks of our set.
struct Reported {
  SetDigest listed;
  Need need;
  Reason reason = Reason::kNone;
  NeedAnswer answer;
  Disagreement disagreement;
};

class CatalogService::Driver {
 public:
  Driver(swarm::Swarm& swarm, library::Published& published, CatalogStore& store,
         CatalogHooks hooks, CatalogOptions options);

  void start();
  awaitable<void> stop();
  void peer_identified(const PeerId& peer);
  void peer_changed(const PeerId& peer);
  void wants_changed();
  std::vector<PeerSync> sync() const;
  awaitable<Result<std::vector<CatalogPeer>>> peers();
  /// Sends one message on a stream of its own and gives its answer.
  awaitable<Result<Message>> ask(PeerId peer, Message question);

  runtime::Runtime& runtime() { return runtime_; }
  CatalogStore& store() { return store_; }
  const CatalogCounters& counters() const { return counters_; }

 private:
  /// What we lack of a peer's set, as long as we are subscribed to it. The task that tells it holds
  /// it.
  struct Telling {
    NeedExchange exchange;
    std::unique_ptr<runtime::Signal> wake;  ///< When next() may be another time.
    bool ended = false;                     ///< The subscription is.
  };
  using TellingPtr = std::shared_ptr<Telling>;
  /// Our subscription to one peer.
  struct Follow {
    std::unique_ptr<runtime::Signal> wake;  ///< It may be there again.
    std::optional<Subscriber> subscriber;   ///< While a stream is open.
    TellingPtr telling;                     ///< From the HelloAck on.
    TimePoint not_before{};                 ///< Of the telling before.
  };
  /// What a peer lists to us, asked for in the order of ids.
  struct Lookup {
    PeerId peer;
    std::vector<Listing> page;
    std::size_t at = 0;
    bool at_end = false;
  };
  /// An inbound stream. The tasks that use it hold it.
  struct Session {
    Session(swarm::ProtocolStream opened, runtime::Runtime& runtime)
        : stream(std::move(opened)),
          reader(*stream.stream),
          wake(runtime.make_signal()),
          done(runtime.make_signal()) {}
    swarm::ProtocolStream stream;
    transport::FrameReader reader;
    std::unique_ptr<runtime::Signal> wake;  ///< There may be something to say.
    std::unique_ptr<runtime::Signal> done;
    std::optional<Publisher> publisher;  ///< Of a subscription.
    std::uint64_t serial = 0;            ///< In `sessions_`.
    bool ended = false;                  ///< The subscriber has no more to say.
    bool renew = false;                  ///< What it may see may have changed.
    std::optional<Reported> reported;
  };
  using SessionPtr = std::shared_ptr<Session>;
  /// A stream that has just been negotiated may come to its handler after stop().
  struct Gate {
    Driver* driver = nullptr;  ///< Null: closed.
  };

  awaitable<void> follow(PeerId peer);
  /// How a subscription ended. Errors: all but a goodbye.
  awaitable<Result<GoodbyeReason>> follow_once(PeerId peer, Follow& follow);
  awaitable<Result<std::optional<Message>>> take_in(PeerId peer, Subscriber& subscriber,
                                                    Subscriber::Action action);
  awaitable<void> wait_for_room(std::size_t entries, discovery::Allowance& intake);
  std::shared_ptr<swarm::Connection> connection_to(const PeerId& peer) const;
  /// Tells the node whether it is a neighbour. `session`: its subscription, null when it has none.
  void tell_neighbour(const PeerId& peer, const SessionPtr& session);

  void begin_telling(const PeerId& peer, Follow& follow);
  static void end_telling(Follow& follow);
  awaitable<void> tell_needs(PeerId peer, TellingPtr telling);
  awaitable<Result<>> tell_need(PeerId peer, TellingPtr telling);
  TimePoint turn_of(const TellingPtr& telling) const;
  void end_turn(const TellingPtr& telling);
  awaitable<Result<NeedBuilder>> reckon(PeerId peer, TellingPtr telling);
  awaitable<Result<>> answer_need(Session& session, NeedReport report);
  awaitable<Result<NeedAnswer>> judge(SessionPtr subscription, const NeedReport& report);
  awaitable<Result<NeedAnswer>> judge_each(SessionPtr subscription, const NeedReport& report);
  awaitable<Result<const Listing*>> look_up(Lookup& lookup, std::string_view id);
  SessionPtr subscription_of(const PeerId& peer) const;
  const Subscriber* complete_subscriber_of(const PeerId& peer) const;
  SyncDirection sync_here(const PeerId& peer) const;
  SyncDirection sync_there(const PeerId& peer) const;

  awaitable<void> keep_own();
  awaitable<Result<>> bring_own_up_to_date();
  awaitable<Result<Summary>> store_own(CatalogWrite write);

  static awaitable<void> accept(std::shared_ptr<Gate> gate, swarm::ProtocolStream stream);
  awaitable<void> serve(SessionPtr session, std::shared_ptr<runtime::Signal> served);
  awaitable<Result<>> serve_first(SessionPtr session);
  awaitable<Result<>> serve_subscription(SessionPtr session, Hello hello);
  awaitable<void> hear_subscriber(SessionPtr session);
  awaitable<Result<>> hear_subscriber_on(Session& session);
  awaitable<Result<>> answer_query(Session& session, QueryRequest request);
  awaitable<Result<>> answer_peer_info(Session& session);
  awaitable<Result<>> refuse(Session& session, RefusalCode code, std::string text);
  awaitable<Result<>> send_last(Session& session, Message message);
  awaitable<Result<>> send(transport::Stream& stream, Message message);
  bool may_ask(const PeerId& peer);
  peers::Visitor visitor_of(const Session& session) const;
  Introduction introduce(const swarm::Connection& connection) const;
  void wake_sessions();
  /// What an error of a peer says of it.
  void report_error(const PeerId& peer, const Error& error);

  swarm::Swarm& swarm_;
  runtime::Runtime& runtime_;
  library::Published& published_;
  CatalogStore& store_;
  CatalogHooks hooks_;
  CatalogOptions options_;
  CatalogCounters counters_;
  TimePoint started_at_{};
  bool stopping_ = false;
  std::shared_ptr<Gate> gate_;
  std::function<void()> end_listening_;
  std::map<PeerId, Follow> follows_;
  std::map<std::uint64_t, SessionPtr> sessions_;  ///< Subscriptions of others, in their order.
  std::uint64_t session_serial_ = 0;
  discovery::Allowances<PeerId> askers_;
  discovery::Allowances<PeerId> reporters_;
  std::deque<TellingPtr> reckoners_;  ///< Who reckons or is the next to, and who comes after it.
  WorkPace reckoning_;
  bool judges_ = false;  ///< One is being judged.
  runtime::WaitList to_judge_;
  WorkPace judging_;
  std::unique_ptr<runtime::Signal> own_changed_;
  runtime::TaskGroup tasks_;  // Last.
};

}  // namespace warren::catalog
