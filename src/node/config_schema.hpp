#pragma once
// Every key of the configuration, described once: parser, `config show`, `config default` and the
// table in docs/guides/configuration.md come from here.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "node/config.hpp"

namespace warren::node {

/// Since when a changed value is in force.
enum class Applies : std::uint8_t {
  kAtOnce,
  kAfterRestart,
};
/// "at once", "after a restart".
std::string_view applies_name(Applies applies) noexcept;

/// A value as it stands in the file.
struct WrittenValue {
  /// Not set: a list, in `entries`.
  std::optional<std::string> scalar;
  std::vector<std::string> entries;
};

/// What is wrong with a written value: "must be true or false; found 'perhaps'".
struct BadValue {
  std::string text;
  /// The place in the list where it is wrong; unset: the whole value.
  std::optional<std::size_t> entry;
};

struct SizeInBytes {
  std::uint64_t bytes = 0;
  bool operator==(const SizeInBytes&) const = default;
};

/// The value of a key in the types that programs are told.
using SettingValue =
    std::variant<bool, std::uint64_t, SizeInBytes, Duration, std::string, std::vector<std::string>>;

struct Setting {
  std::string_view key;  ///< "beacon.interval"; without a dot at the top of the file.
  Applies applies = Applies::kAfterRestart;
  std::string_view help;  ///< One line, no full stop.
  std::string range;      ///< "a time from 200ms to 5m": what a value may be.
  /// Where a value comes from that nobody has set, when that is not the same for every node: it
  /// stands commented out in default_config_text(). Empty: the default of the table.
  std::string_view otherwise{};
  /// Puts a written value into the configuration; on an error it is unchanged.
  std::function<std::optional<BadValue>(Config&, const WrittenValue&)> set;
  /// Takes this one value over from another configuration.
  std::function<void(Config& to, const Config& from)> copy;
  /// The value in force, resolved where it is unset.
  std::function<SettingValue(const Config&)> get;

  std::string_view section() const;  ///< "beacon"; empty at the top of the file.
  std::string_view name() const;     ///< "interval".
};

/// All keys, in the order of the file.
std::span<const Setting> settings();
/// Null for a key that does not exist.
const Setting* find_setting(std::string_view key);

/// As it is written in the file: "30s", "128MiB", "true", "[/ip4/..., /ip6/...]".
std::string setting_text(const SettingValue& value);

/// One key as it is in force.
struct Effective {
  std::string key;    ///< "beacon.interval".
  std::string value;  ///< "2s": as it is written in the file.
  SettingValue typed;
  std::string origin;  ///< "default", "config.yaml:3", "--no-mdns".
  /// What it will be after a restart, when the file says so by now; else empty.
  std::string pending{};
};
/// Every key, in the order of the file.
std::vector<Effective> effective(const LoadedConfig& loaded);

/// Two keys whose values do not go together.
struct Conflict {
  std::vector<std::string_view> keys;  ///< Both; at least one of them was set.
  std::string text;
};
/// Everything that holds for each key alone is known to hold.
std::optional<Conflict> find_conflict(const Config& config);

/// A whole file with every key, its default, range and help. It parses to Config{}.
std::string default_config_text();

/// All keys as a table in Markdown, for docs/guides/configuration.md.
std::string settings_table();

/// The keys whose values differ, in the order of the file.
std::vector<const Setting*> changed_settings(const Config& before, const Config& after);

/// `after`, but with the values of `before` for the keys that take effect after a restart: what a
/// node that runs goes by.
Config in_force(const Config& before, const Config& after);

}  // namespace warren::node
