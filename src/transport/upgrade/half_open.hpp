#pragma once
// The inbound handshakes in progress, and which of them makes room when there are many: nobody can
// keep others out by holding connections open and saying nothing. Internal to the module.

#include <list>
#include <memory>

#include "resources/prefix.hpp"
#include "runtime/runtime.hpp"

namespace warren::transport {

class HalfOpenTable {
 public:
  explicit HalfOpenTable(runtime::Runtime& runtime) : runtime_(runtime) {}

  /// One handshake, counted for as long as this lives. Must not outlive the table.
  class Place {
   public:
    Place(HalfOpenTable& table, const IpAddress& remote);
    ~Place();
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;

    /// Ends with kLimited when the place was given to somebody else. Cancel: safe.
    runtime::awaitable<Result<>> wait_until_displaced();

   private:
    friend class HalfOpenTable;
    HalfOpenTable& table_;
    resources::Prefix source_;
    std::unique_ptr<runtime::Signal> signal_;
    bool displaced_ = false;
    std::list<Place*>::iterator at_;  // Unless displaced.
  };

  std::size_t size() const { return size_; }
  /// Those that have not been displaced; one that has needs a moment to go.
  std::size_t staying() const { return staying_.size(); }
  /// Gives the oldest place of the source that has most of them away, and says whose. A source is
  /// an IPv4 address, or an IPv6 /56. There must be one (checked).
  IpAddress displace_one();

 private:
  runtime::Runtime& runtime_;
  std::size_t size_ = 0;
  std::list<Place*> staying_;  // Oldest first.
};

}  // namespace warren::transport
