// Reads arbitrary text as a configuration. Finds: a crash or a hang of the reader, an error that is
// not one line of printable text with its place, an accepted file whose values, written out, do not
// read back as the same ones, or that break a rule between two keys.
//
// Links: warren::node

#include <map>
#include <string>

#include "base/check.hpp"
#include "node/config_schema.hpp"

using namespace warren;

namespace {

/// A file that sets every key that was set.
std::string written_out(const node::LoadedConfig& loaded) {
  std::map<std::string, std::string, std::less<>> sections;
  for (const node::Setting& setting : node::settings()) {
    if (!loaded.origins.contains(setting.key)) continue;
    const bool top = setting.section().empty();
    sections[std::string(setting.section())] +=
        (top ? "" : "  ") + std::string(setting.name()) + ": " +
        node::setting_text(setting.get(loaded.config)) + "\n";
  }
  std::string text;
  for (const auto& [name, lines] : sections) text += name.empty() ? lines : name + ":\n" + lines;
  return text;
}

void check_error(const Error& error) {
  WARREN_CHECK(error.code() == ErrorCode::kInvalidArgument);
  WARREN_CHECK(error.message().starts_with("f.yaml"));
  for (const char c : error.message()) {
    const auto byte = static_cast<unsigned char>(c);
    WARREN_CHECK(byte >= 0x20 && byte != 0x7f);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size > node::kConfigBytesMax) return 0;
  const auto loaded = node::parse_config(as_text(BytesView(data, size)), "f.yaml");
  if (!loaded) {
    check_error(loaded.error());
    return 0;
  }
  WARREN_CHECK(!node::find_conflict(loaded->config));
  WARREN_CHECK(!loaded->config.dht_enabled);
  WARREN_CHECK(node::effective(*loaded).size() == node::settings().size());
  const std::string text = written_out(*loaded);
  const auto again = node::parse_config(text, "f.yaml");
  WARREN_CHECK(again);
  WARREN_CHECK(again->config == loaded->config);
  return 0;
}
