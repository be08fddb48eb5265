#pragma once
// Makes the rows of the configuration's table, one function for each type of value.

#include <span>

#include "node/config_schema.hpp"

namespace warren::node::kinds {

/// What all rows have.
struct Row {
  std::string_view key;
  Applies applies = Applies::kAfterRestart;
  std::string_view help;
};

using OptionalCount = std::optional<std::size_t> Config::*;

Setting flag(Row row, bool Config::* member);
Setting count(Row row, std::uint64_t Config::* member, std::uint64_t least, std::uint64_t most);
/// `resolved`: the value in force while it is unset, of which `otherwise` says where it comes from.
Setting count(Row row, OptionalCount member, std::uint64_t least, std::uint64_t most,
              std::string_view otherwise, std::size_t (*resolved)(const Config&));
/// A multicast address of IPv4 that is not mDNS's.
Setting multicast_group(Row row, IpAddress Config::* member);
Setting size(Row row, std::uint64_t Config::* member, std::uint64_t least, std::uint64_t most);
Setting time(Row row, Duration Config::* member, Duration least, Duration most);
/// `words` in the order of the enum's values, which begin at 0.
template <class Enum>
Setting word(Row row, Enum Config::* member, std::span<const std::string_view> words);
/// `check` says what is wrong with a text, or nothing.
Setting text(Row row, std::string_view range, std::string Config::* member,
             std::optional<std::string> (*check)(const std::string&));
/// `check` as for text(). `unset`: what is in force while the list is empty, with `otherwise`.
Setting addresses(Row row, std::vector<Multiaddr> Config::* member, std::size_t most,
                  std::optional<std::string> (*check)(const Multiaddr&),
                  std::string_view otherwise = {}, std::vector<Multiaddr> (*unset)() = nullptr);

// ------------------------------------------------------------------------------------- details

Setting word_of(Row row, std::span<const std::string_view> words,
                std::function<void(Config&, std::size_t)> set,
                std::function<std::size_t(const Config&)> get);

template <class Enum>
Setting word(Row row, Enum Config::* member, std::span<const std::string_view> words) {
  return word_of(
      row, words,
      [member](Config& config, std::size_t index) { config.*member = static_cast<Enum>(index); },
      [member](const Config& config) { return static_cast<std::size_t>(config.*member); });
}

}  // namespace warren::node::kinds
