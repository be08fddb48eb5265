#include "node/config.hpp"

#include <fmt/format.h>
#include <yaml-cpp/yaml.h>

#include <array>
#include <charconv>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "node/escape.hpp"
#include "node/nearest.hpp"
#include "runtime/file.hpp"

namespace warren::node {
namespace {

constexpr std::array<std::pair<std::string_view, log::Level>, 6> kLevels{{
    {"trace", log::Level::kTrace},
    {"debug", log::Level::kDebug},
    {"info", log::Level::kInfo},
    {"warn", log::Level::kWarn},
    {"error", log::Level::kError},
    {"off", log::Level::kOff},
}};

/// One file being read: keeps the name for errors.
class Reader {
 public:
  explicit Reader(std::string_view file_name) : file_name_(file_name) {}

  std::unexpected<Error> error(const YAML::Mark& mark, std::string_view text) const {
    if (mark.is_null())
      return fail(ErrorCode::kInvalidArgument, fmt::format("{}: {}", file_name_, text));
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}:{}:{}: {}", file_name_, mark.line + 1, mark.column + 1, text));
  }

  using Member = std::function<Result<>(const YAML::Node&)>;
  /// Visits a mapping whose keys must all be in `members`. An empty node is an empty mapping.
  Result<> mapping(const YAML::Node& node, std::string_view name,
                   const std::map<std::string_view, Member>& members) const {
    if (!node.IsDefined() || node.IsNull()) return {};
    if (!node.IsMap()) return error(node.Mark(), fmt::format("'{}' must be a mapping", name));
    std::set<std::string> seen;
    for (const auto& entry : node) {
      const YAML::Node& key = entry.first;
      if (!key.IsScalar()) return error(key.Mark(), "a key must be a word");
      const std::string& word = key.Scalar();
      const auto member = members.find(word);
      if (member == members.end()) return error(key.Mark(), unknown_key(word, members));
      if (!seen.insert(word).second) {
        return error(key.Mark(), fmt::format("the key '{}' stands here a second time", word));
      }
      WARREN_TRY_VOID(member->second(entry.second));
    }
    return {};
  }

  Result<bool> boolean(const YAML::Node& node, std::string_view name) const {
    bool value = false;
    if (node.IsScalar() && YAML::convert<bool>::decode(node, value)) return value;
    return error(node.Mark(), fmt::format("'{}' must be true or false", name));
  }

  Result<std::size_t> number(const YAML::Node& node, std::string_view name, std::size_t least,
                             std::size_t most) const {
    if (node.IsScalar()) {
      const std::string& text = node.Scalar();
      std::size_t value = 0;
      const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
      if (code == std::errc{} && end == text.data() + text.size() && value >= least &&
          value <= most) {
        return value;
      }
    }
    return error(node.Mark(), fmt::format("'{}' must be a whole number from {} to {}{}", name,
                                          least, most, found(node)));
  }

  Result<std::uint64_t> size(const YAML::Node& node, std::string_view name, std::uint64_t least,
                             std::uint64_t most) const {
    if (node.IsScalar()) {
      const auto value = parse_bytes(node.Scalar());
      if (value && *value >= least && *value <= most) return *value;
    }
    return error(node.Mark(), fmt::format("'{}' must be a size from {} MiB to {} MiB, as in "
                                          "'128MiB'{}",
                                          name, least >> 20, most >> 20, found(node)));
  }

  Result<std::vector<Multiaddr>> addresses(const YAML::Node& node, std::string_view name) const {
    if (!node.IsSequence()) return error(node.Mark(), fmt::format("'{}' must be a list", name));
    if (node.size() > kListenAddressesMax) {
      return error(node.Mark(), fmt::format("'{}' has {} entries; at most {} are taken", name,
                                            node.size(), kListenAddressesMax));
    }
    std::vector<Multiaddr> all;
    for (const YAML::Node& entry : node) {
      if (!entry.IsScalar()) return error(entry.Mark(), "a multiaddr was expected");
      auto address = Multiaddr::parse(entry.Scalar());
      if (!address) return error(entry.Mark(), address.error().message());
      all.push_back(*std::move(address));
    }
    return all;
  }

  Result<protocols::Audience> audience(const YAML::Node& node) const {
    if (node.IsScalar()) {
      if (node.Scalar() == "off") return protocols::Audience::kNobody;
      if (node.Scalar() == "local") return protocols::Audience::kLocal;
      if (node.Scalar() == "anyone") return protocols::Audience::kAnyone;
    }
    return error(node.Mark(),
                 fmt::format("'p2p.measure' must be one of off, local, anyone{}", found(node)));
  }

  Result<log::Level> level(const YAML::Node& node) const {
    if (node.IsScalar()) {
      for (const auto& [word, level] : kLevels) {
        if (node.Scalar() == word) return level;
      }
    }
    return error(node.Mark(),
                 fmt::format("'log.level' must be one of trace, debug, info, warn, error, off{}",
                             found(node)));
  }

 private:
  static std::string found(const YAML::Node& node) {
    return node.IsScalar() ? fmt::format("; found '{}'", escape_for_display(node.Scalar())) : "";
  }

  static std::string unknown_key(const std::string& word,
                                 const std::map<std::string_view, Member>& members) {
    std::vector<std::string_view> known;
    for (const auto& [name, member] : members) known.push_back(name);
    if (const auto near = nearest(word, known)) {
      return fmt::format("unknown key '{}'; did you mean '{}'?", escape_for_display(word), *near);
    }
    return fmt::format("unknown key '{}'; known here: {}", escape_for_display(word),
                       fmt::join(known, ", "));
  }

  std::string file_name_;
};

struct Place {
  std::size_t line = 1;
  std::size_t column = 1;
};

/// The first byte that no YAML has outside of escapes: yaml-cpp takes a NUL for the end.
std::optional<Place> control_character(std::string_view text) {
  Place place;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') return place;
    ++place.column;
    if (c == '\n') place = {place.line + 1, 1};
  }
  return std::nullopt;
}

/// Stores a value that was read, or passes its error on.
template <class T, class U>
Result<> keep(T& target, Result<U> value) {
  if (!value) return fail(std::move(value).error());
  target = *std::move(value);
  return {};
}

Result<Config> read_root(const YAML::Node& root, const Reader& reader) {
  Config config;
  const auto mdns = [&](const YAML::Node& node) {
    return reader.mapping(node, "p2p.mdns", {{"enabled", [&](const YAML::Node& value) {
                                                return keep(
                                                    config.mdns_enabled,
                                                    reader.boolean(value, "p2p.mdns.enabled"));
                                              }}});
  };
  const auto p2p = [&](const YAML::Node& node) {
    return reader.mapping(
        node, "p2p",
        {{"listen_addresses",
          [&](const YAML::Node& value) {
            return keep(config.listen_addresses, reader.addresses(value, "p2p.listen_addresses"));
          }},
         {"measure",
          [&](const YAML::Node& value) { return keep(config.measure, reader.audience(value)); }},
         {"mdns", mdns}});
  };
  const auto limits = [&](const YAML::Node& node) {
    return reader.mapping(
        node, "limits",
        {{"connections",
          [&](const YAML::Node& value) {
            return keep(config.connections_max,
                        reader.number(value, "limits.connections", 8, 100'000));
          }},
         {"memory",
          [&](const YAML::Node& value) {
            return keep(config.memory_bytes_max,
                        reader.size(value, "limits.memory", 64u << 20, std::uint64_t{64} << 30));
          }},
         {"transfers", [&](const YAML::Node& value) {
            return keep(config.transfers_max, reader.number(value, "limits.transfers", 1, 64));
          }}});
  };
  const auto log_section = [&](const YAML::Node& node) {
    return reader.mapping(node, "log", {{"level", [&](const YAML::Node& value) {
                                           return keep(config.log_level, reader.level(value));
                                         }}});
  };
  WARREN_TRY_VOID(
      reader.mapping(root, "config", {{"p2p", p2p}, {"limits", limits}, {"log", log_section}}));
  return config;
}

}  // namespace

std::vector<Multiaddr> default_listen_addresses() {
  const Endpoint v4{IpAddress::v4(0, 0, 0, 0), 4001, 0};
  const Endpoint v6{IpAddress::from_bytes(Bytes(16)).value(), 4001, 0};
  return {Multiaddr::quic(v4), Multiaddr::quic(v6), Multiaddr::tcp(v4), Multiaddr::tcp(v6)};
}

Result<Config> parse_config(std::string_view text, std::string_view file_name) {
  const Reader reader(file_name);
  if (const auto place = control_character(text)) {
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}:{}:{}: this is not YAML: a control character stands here",
                            file_name, place->line, place->column));
  }
  // yaml-cpp reports by exceptions; none of them leaves this function.
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(std::string(text));
    if (documents.size() > 1)
      return reader.error(documents[1].Mark(), "only one document may stand here");
    if (documents.empty()) return Config{};
    return read_root(documents[0], reader);
  } catch (const YAML::Exception& thrown) {
    return reader.error(thrown.mark, "this is not YAML: " + escape_for_display(thrown.msg, 200));
  } catch (const std::exception& thrown) {
    return reader.error(
        YAML::Mark::null_mark(),
        fmt::format("this is not YAML: {}", escape_for_display(thrown.what(), 200)));
  }
}

Result<Config> load_config(const std::string& path) {
  const auto file = runtime::File::open(path);
  if (!file && file.error().code() == ErrorCode::kNotFound) return Config{};
  if (!file) return fail(Error(file.error()).in("cannot read the configuration"));
  Bytes text(kConfigBytesMax + 1);
  WARREN_TRY(const std::size_t size, file->read_at(0, text));
  if (size > kConfigBytesMax) {
    return fail(
        ErrorCode::kTooLarge,
        fmt::format("{}: larger than {} bytes, which no configuration is", path, kConfigBytesMax));
  }
  return parse_config(as_text(BytesView(text).first(size)), path);
}

Result<Duration> parse_duration(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, Duration>, 5> kUnits{
      {{"ms", 1ms}, {"s", 1s}, {"m", 1min}, {"h", 1h}, {"d", 24h}}};
  std::int64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  for (const auto& [name, length] : kUnits) {
    if (code == std::errc{} && unit == name && value >= 0 && value <= Duration::max() / length)
      return value * length;
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("'{}' is not a time", escape_for_display(text)),
              "write a whole number with ms, s, m, h or d behind it");
}

Result<std::uint64_t> parse_bytes(std::string_view text) {
  constexpr std::array<std::pair<std::string_view, unsigned>, 5> kUnits{
      {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}}};
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  if (unit.starts_with(' ')) unit.remove_prefix(1);
  for (const auto& [name, shift] : kUnits) {
    if (code == std::errc{} && unit == name && value <= (UINT64_MAX >> shift))
      return value << shift;
  }
  return fail(ErrorCode::kInvalidArgument,
              fmt::format("'{}' is not a size", escape_for_display(text)),
              "write a number with B, KiB, MiB or GiB behind it, or plain bytes");
}

}  // namespace warren::node
