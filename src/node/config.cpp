#include "node/config.hpp"

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <optional>
#include <sstream>
#include <utility>

#include "node/config_schema.hpp"
#include "node/escape.hpp"
#include "node/nearest.hpp"
#include "runtime/file.hpp"

namespace warren::node {
namespace {

/// Keys that older versions knew at another place.
struct Moved {
  std::string_view from;
  std::string_view to;
};
constexpr Moved kMoved{"p2p.mdns", "mdns"};

struct Place {
  int line = 0;  ///< From 0, as yaml-cpp counts.
  int column = 0;
  auto operator<=>(const Place&) const = default;
};

Place place_of(const YAML::Node& node) { return {node.Mark().line, node.Mark().column}; }

/// One file being read.
class Reader {
 public:
  explicit Reader(std::string_view file_name) : file_name_(file_name) {}

  std::unexpected<Error> error(Place place, std::string_view text) const {
    // A missing value has no place of its own.
    if (place.line < 0)
      return fail(ErrorCode::kInvalidArgument, file_name_ + ": " + std::string(text));
    return fail(ErrorCode::kInvalidArgument,
                fmt::format("{}:{}:{}: {}", file_name_, place.line + 1, place.column + 1, text));
  }

  Result<LoadedConfig> read(const YAML::Node& root) {
    loaded_.written = true;
    WARREN_TRY_VOID(mapping(root, ""));
    if (const auto conflict = find_conflict(loaded_.config)) {
      return error(last_of(conflict->keys), conflict->text);
    }
    return std::move(loaded_);
  }

 private:
  /// A mapping at the top of the file (empty `section`) or one level below. An empty node is an
  /// empty mapping.
  Result<> mapping(const YAML::Node& node, const std::string& section) {
    if (!node.IsDefined() || node.IsNull()) return {};
    if (!node.IsMap()) {
      return error(place_of(node),
                   fmt::format("'{}' must be a mapping", section.empty() ? "config" : section));
    }
    std::vector<std::string> seen;
    for (const auto& entry : node) {
      const YAML::Node& key = entry.first;
      if (!key.IsScalar()) return error(place_of(key), "a key must be a word");
      const std::string& word = key.Scalar();
      const std::string full = section.empty() ? word : section + "." + word;
      const Setting* setting = find_setting(full);
      const bool is_section =
          section.empty() && std::ranges::any_of(settings(), [&](const auto& s) {
            return s.section() == word && !word.empty();
          });
      if (setting == nullptr && !is_section) {
        return error(place_of(key), unknown_key(word, section));
      }
      if (std::ranges::find(seen, word) != seen.end()) {
        return error(place_of(key), fmt::format("the key '{}' stands here a second time", word));
      }
      seen.push_back(word);
      WARREN_TRY_VOID(setting != nullptr ? value(*setting, key, entry.second)
                                         : mapping(entry.second, word));
    }
    return {};
  }

  Result<> value(const Setting& setting, const YAML::Node& key, const YAML::Node& node) {
    WrittenValue written;
    if (node.IsScalar()) {
      written.scalar = node.Scalar();
    } else if (node.IsNull()) {
      return error(place_of(key),
                   fmt::format("'{}' has no value; it must be {}", setting.key, setting.range));
    } else if (node.IsSequence()) {
      for (const YAML::Node& entry : node) {
        if (!entry.IsScalar()) return error(place_of(entry), "a text was expected in this list");
        written.entries.push_back(entry.Scalar());
      }
    } else {
      return error(place_of(node),
                   fmt::format("'{}' must be {}; found a mapping", setting.key, setting.range));
    }
    if (const auto bad = setting.set(loaded_.config, written)) {
      if (bad->entry) return error(place_of(node[*bad->entry]), bad->text);
      return error(place_of(node), fmt::format("'{}' {}", setting.key, bad->text));
    }
    const std::string name(setting.key);
    places_[name] = place_of(node);
    loaded_.origins[name] = fmt::format("{}:{}", file_name_, key.Mark().line + 1);
    return {};
  }

  static std::string unknown_key(const std::string& word, const std::string& section) {
    const std::string shown = escape_for_display(word);
    if (section + "." + word == kMoved.from) {
      return fmt::format("the key '{}' stands at the top of the file now, not in '{}'", kMoved.to,
                         section);
    }
    std::vector<std::string_view> known;
    for (const Setting& setting : settings()) {
      const std::string_view name =
          section.empty() && !setting.section().empty() ? setting.section() : setting.name();
      const bool here = section.empty() || setting.section() == section;
      if (here && std::ranges::find(known, name) == known.end()) known.push_back(name);
    }
    if (const auto near = nearest(word, known)) {
      return fmt::format("unknown key '{}'; did you mean '{}'?", shown, *near);
    }
    for (const Setting& setting : settings()) {
      if (setting.name() == word) {
        return fmt::format("unknown key '{}'; did you mean '{}'?", shown, setting.key);
      }
    }
    std::ranges::sort(known);
    return fmt::format("unknown key '{}'; known here: {}", shown, fmt::join(known, ", "));
  }

  Place last_of(const std::vector<std::string_view>& keys) const {
    Place last{-1, -1};
    for (const std::string_view key : keys) {
      const auto found = places_.find(key);
      if (found != places_.end()) last = std::max(last, found->second);
    }
    return last;
  }

  std::string file_name_;
  LoadedConfig loaded_;
  std::map<std::string, Place, std::less<>> places_;
};

/// Sees only whether a document has anything in it, and where.
class Contents final : public YAML::EventHandler {
 public:
  std::optional<Place> first;

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override { see(mark); }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                const std::string&) override {
    see(mark);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    see(mark);
  }
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    see(mark);
  }
  void OnMapEnd() override {}

 private:
  void see(const YAML::Mark& mark) {
    if (!first) first = Place{mark.line, mark.column};
  }
};

/// What yaml-cpp must not be given, or does not tell of.
struct Unfit {
  Place place;
  std::string_view what;
};

/// Something behind the one document that a configuration is. yaml-cpp 0.7 stands still, without a
/// word, at a character like ',' or ']' where no value may begin; YAML::LoadAll() never comes back
/// from there, YAML::Load() takes no notice of it.
std::optional<Unfit> surplus_part(const std::string& text) {
  constexpr int kEmptyDocumentsMax = 16;
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  Contents first;
  for (int i = 0; i < kEmptyDocumentsMax; ++i) {
    Contents contents;
    if (!parser.HandleNextDocument(i == 0 ? first : contents)) return std::nullopt;
    if (contents.first) return Unfit{*contents.first, "only one document may stand here"};
  }
  Place place;
  for (const char c : text) {
    if (c == ',' || c == ']' || c == '}') break;
    ++place.column;
    if (c == '\n') place = {place.line + 1, 0};
  }
  return Unfit{place, "this is not YAML: no value may begin here"};
}

/// The first byte that no YAML has outside of escapes, since yaml-cpp takes a NUL for the end; or
/// the first directive, of which a configuration has none.
std::optional<Unfit> unfit_part(std::string_view text) {
  Place place;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 && c != '\t' && c != '\n' && c != '\r') {
      return Unfit{place, "this is not YAML: a control character stands here"};
    }
    if (c == '%' && place.column == 0) return Unfit{place, "no line may begin with '%' here"};
    ++place.column;
    if (c == '\n') place = {place.line + 1, 0};
  }
  return std::nullopt;
}

}  // namespace

std::vector<Multiaddr> default_listen_addresses() {
  const Endpoint v4{IpAddress::v4(0, 0, 0, 0), 4001, 0};
  const Endpoint v6{IpAddress::from_bytes(Bytes(16)).value(), 4001, 0};
  return {Multiaddr::quic(v4), Multiaddr::quic(v6), Multiaddr::tcp(v4), Multiaddr::tcp(v6)};
}

std::string peer_store_file(const Config& config, const std::string& state_dir) {
  return config.peer_store_path.empty() ? state_dir + "/peers.db" : config.peer_store_path;
}

std::string replica_folder(const Config& config, const std::string& state_dir) {
  return config.library_replica.empty() ? state_dir + "/replica" : config.library_replica;
}

Result<LoadedConfig> parse_config(std::string_view text, std::string_view file_name) {
  if (text.empty()) return LoadedConfig{};
  Reader reader(file_name);
  if (const auto unfit = unfit_part(text)) return reader.error(unfit->place, unfit->what);
  // yaml-cpp reports by exceptions; none of them leaves this function.
  try {
    const std::string whole(text);
    if (const auto surplus = surplus_part(whole)) {
      return reader.error(surplus->place, surplus->what);
    }
    return reader.read(YAML::Load(whole));
  } catch (const YAML::Exception& thrown) {
    return reader.error({thrown.mark.line, thrown.mark.column},
                        "this is not YAML: " + escape_for_display(thrown.msg, 200));
  } catch (const std::exception& thrown) {
    return reader.error(
        {-1, -1}, fmt::format("this is not YAML: {}", escape_for_display(thrown.what(), 200)));
  }
}

Result<LoadedConfig> load_config(const std::string& path) {
  const auto file = runtime::File::open(path);
  if (!file && file.error().code() == ErrorCode::kNotFound) return LoadedConfig{};
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

}  // namespace warren::node
