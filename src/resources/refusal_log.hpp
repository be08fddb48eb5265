#pragma once
// What was refused: counted at once, said at most once a minute.

#include <array>
#include <functional>
#include <string>

#include "base/time.hpp"
#include "resources/usage.hpp"

namespace warren::resources {

class RefusalLog {
 public:
  /// Gets whole lines.
  using Report = std::function<void(std::string)>;
  explicit RefusalLog(Report report) : report_(std::move(report)) {}

  /// `who`: "from 192.0.2.7", "of 12D3..."; `why`: the limit, in words.
  void add(ScopeKind scope, Resource resource, const std::string& who, const std::string& why,
           TimePoint now);
  void add_optional() { ++optional_; }
  std::uint64_t optional() const { return optional_; }
  std::vector<Refusals> all() const;

 private:
  struct Line {
    std::uint64_t count = 0;
    std::uint64_t unsaid = 0;
    bool several = false;  // Of the unsaid ones.
    std::string who;
    bool said = false;
    TimePoint said_at{};
  };

  Report report_;
  std::array<std::array<Line, kResources>, kScopeKinds> lines_;
  std::uint64_t optional_ = 0;
};

}  // namespace warren::resources
