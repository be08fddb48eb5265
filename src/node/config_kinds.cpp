#include "node/config_kinds.hpp"

#include <fmt/format.h>

#include <charconv>

#include "node/escape.hpp"

namespace warren::node::kinds {
namespace {

using Bad = std::optional<BadValue>;

/// "must be a whole number from 1 to 64; found 'many'".
BadValue not_in(std::string_view range, const WrittenValue& value) {
  const std::string found = value.scalar
                                ? fmt::format("; found '{}'", escape_for_display(*value.scalar))
                                : "; found a list";
  return {fmt::format("must be {}{}", range, found), std::nullopt};
}

std::optional<std::uint64_t> whole_number(const WrittenValue& value) {
  if (!value.scalar) return std::nullopt;
  const std::string& text = *value.scalar;
  std::uint64_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

Setting base(Row row, std::string range) {
  Setting made;
  made.key = row.key;
  made.applies = row.applies;
  made.help = row.help;
  made.range = std::move(range);
  return made;
}

template <class Value>
Setting base(Row row, std::string range, Value Config::* member) {
  Setting made = base(row, std::move(range));
  made.copy = [member](Config& to, const Config& from) { to.*member = from.*member; };
  return made;
}

template <class Number>
Setting any_count(Row row, Number Config::* member, std::uint64_t least, std::uint64_t most) {
  Setting made = base(row, fmt::format("a whole number from {} to {}", least, most), member);
  made.set = [=, range = made.range](Config& config, const WrittenValue& value) -> Bad {
    const auto number = whole_number(value);
    if (!number || *number < least || *number > most) return not_in(range, value);
    config.*member = static_cast<std::size_t>(*number);
    return std::nullopt;
  };
  return made;
}

}  // namespace

Setting flag(Row row, bool Config::* member) {
  Setting made = base(row, "true or false", member);
  made.set = [=, range = made.range](Config& config, const WrittenValue& value) -> Bad {
    if (value.scalar != "true" && value.scalar != "false") return not_in(range, value);
    config.*member = value.scalar == "true";
    return std::nullopt;
  };
  made.get = [=](const Config& config) { return config.*member; };
  return made;
}

Setting count(Row row, std::uint64_t Config::* member, std::uint64_t least, std::uint64_t most) {
  Setting made = any_count(row, member, least, most);
  made.get = [=](const Config& config) -> SettingValue { return std::uint64_t{config.*member}; };
  return made;
}

Setting count(Row row, OptionalCount member, std::uint64_t least, std::uint64_t most,
              std::string_view otherwise, std::size_t (*resolved)(const Config&)) {
  Setting made = any_count(row, member, least, most);
  made.otherwise = otherwise;
  made.get = [=](const Config& config) -> SettingValue {
    return std::uint64_t{(config.*member).value_or(resolved(config))};
  };
  return made;
}

Setting multicast_group(Row row, IpAddress Config::* member) {
  Setting made = base(row, "a multicast address of IPv4, not 224.0.0.*", member);
  made.set = [=, range = made.range](Config& config, const WrittenValue& value) -> Bad {
    if (!value.scalar) return not_in(range, value);
    const auto ip = IpAddress::parse(*value.scalar);
    if (!ip || ip->is_v6() || !ip->is_multicast()) return not_in(range, value);
    // Source: RFC 5771, section 4: reserved for routing and the like, mDNS among them.
    const BytesView bytes = ip->bytes();
    if (bytes[0] == 224 && bytes[1] == 0 && bytes[2] == 0) return not_in(range, value);
    config.*member = *ip;
    return std::nullopt;
  };
  made.get = [=](const Config& config) -> SettingValue { return (config.*member).to_string(); };
  return made;
}

Setting size(Row row, std::uint64_t Config::* member, std::uint64_t least, std::uint64_t most) {
  Setting made =
      base(row, fmt::format("a size from {} to {}", bytes_text(least), bytes_text(most)), member);
  made.set = [=, range = made.range](Config& config, const WrittenValue& value) -> Bad {
    if (!value.scalar) return not_in(range, value);
    const auto bytes = parse_bytes(*value.scalar);
    if (!bytes || *bytes < least || *bytes > most) return not_in(range, value);
    config.*member = *bytes;
    return std::nullopt;
  };
  made.get = [=](const Config& config) -> SettingValue { return SizeInBytes{config.*member}; };
  return made;
}

Setting time(Row row, Duration Config::* member, Duration least, Duration most) {
  Setting made = base(
      row, fmt::format("a time from {} to {}", duration_text(least), duration_text(most)), member);
  made.set = [=, range = made.range](Config& config, const WrittenValue& value) -> Bad {
    if (!value.scalar) return not_in(range, value);
    const auto length = parse_duration(*value.scalar);
    if (!length || *length < least || *length > most) return not_in(range, value);
    config.*member = *length;
    return std::nullopt;
  };
  made.get = [=](const Config& config) -> SettingValue { return config.*member; };
  return made;
}

Setting word_of(Row row, std::span<const std::string_view> words,
                std::function<void(Config&, std::size_t)> set,
                std::function<std::size_t(const Config&)> get) {
  Setting made = base(row, fmt::format("one of {}", fmt::join(words, ", ")));
  made.copy = [=](Config& to, const Config& from) { set(to, get(from)); };
  made.set = [=, range = made.range](Config& config, const WrittenValue& value) -> Bad {
    for (std::size_t i = 0; i < words.size(); ++i) {
      if (value.scalar != words[i]) continue;
      set(config, i);
      return std::nullopt;
    }
    return not_in(range, value);
  };
  made.get = [=](const Config& config) -> SettingValue { return std::string(words[get(config)]); };
  return made;
}

Setting text(Row row, std::string_view range, std::string Config::* member,
             std::optional<std::string> (*check)(const std::string&)) {
  Setting made = base(row, std::string(range), member);
  made.set = [=, range = made.range](Config& config, const WrittenValue& value) -> Bad {
    if (!value.scalar) return not_in(range, value);
    if (const auto wrong = check(*value.scalar)) {
      return BadValue{fmt::format("must be {}; {}", range, *wrong), std::nullopt};
    }
    config.*member = *value.scalar;
    return std::nullopt;
  };
  made.get = [=](const Config& config) -> SettingValue { return config.*member; };
  return made;
}

Setting addresses(Row row, std::vector<Multiaddr> Config::* member, std::size_t most,
                  std::optional<std::string> (*check)(const Multiaddr&), std::string_view otherwise,
                  std::vector<Multiaddr> (*unset)()) {
  Setting made = base(row, fmt::format("a list of at most {} multiaddrs", most), member);
  made.otherwise = otherwise;
  made.set = [=, range = made.range](Config& config, const WrittenValue& value) -> Bad {
    if (value.scalar) return not_in(range, value);
    if (value.entries.size() > most) {
      return BadValue{fmt::format("must be {}; found {}", range, value.entries.size()),
                      std::nullopt};
    }
    std::vector<Multiaddr> all;
    for (std::size_t i = 0; i < value.entries.size(); ++i) {
      auto address = Multiaddr::parse(value.entries[i]);
      if (!address) return BadValue{address.error().message(), i};
      if (auto wrong = check(*address)) return BadValue{*std::move(wrong), i};
      all.push_back(*std::move(address));
    }
    config.*member = std::move(all);
    return std::nullopt;
  };
  made.get = [=](const Config& config) -> SettingValue {
    const std::vector<Multiaddr>& own = config.*member;
    std::vector<std::string> texts;
    for (const Multiaddr& one : own.empty() && unset != nullptr ? unset() : own) {
      texts.push_back(one.to_string());
    }
    return texts;
  };
  return made;
}

}  // namespace warren::node::kinds
