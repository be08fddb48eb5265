#include "node/paths.hpp"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace warren::node {
namespace {

namespace fs = std::filesystem;

std::string under(const Environment& environment, std::string_view variable, std::string_view home,
                  std::string_view fallback) {
  const auto value = environment(variable);
  if (value && value->starts_with('/')) return *value + "/warren";
  return fmt::format("{}/{}/warren", home, fallback);
}

Result<> make_private(const std::string& path) {
  WARREN_TRY_VOID(ensure_directory(path));
  if (::chmod(path.c_str(), 0700) != 0) {
    return fail(system_error("cannot make the directory " + path + " private (0700)", errno));
  }
  return {};
}

}  // namespace

Environment process_environment() {
  return [](std::string_view name) -> std::optional<std::string> {
    const char* value = std::getenv(std::string(name).c_str());
    if (value == nullptr || *value == '\0') return std::nullopt;
    return value;
  };
}

Result<Paths> paths_under(std::string_view home) {
  if (home.empty() || home.find('\0') != std::string_view::npos) {
    return fail(ErrorCode::kInvalidArgument, "--home needs the path of a directory",
                "for example: warren --home /srv/warren up");
  }
  std::error_code error;
  std::string root = fs::absolute(fs::path(home), error).lexically_normal().string();
  if (error) return fail(system_error("cannot find the working directory", error.value()));
  while (root.size() > 1 && root.ends_with('/')) root.pop_back();
  return Paths{.config_file = root + "/config.yaml",
               .state_dir = root + "/state",
               .data_dir = root + "/data",
               .socket_dir = root + "/run"};
}

Result<Paths> xdg_paths(const Environment& environment) {
  const auto home = environment("HOME");
  if (!home || !home->starts_with('/')) {
    return fail(ErrorCode::kInvalidArgument,
                "the environment variable HOME is not set to an absolute path",
                "set it, or say where to keep things: warren --home DIR ...");
  }
  Paths paths;
  paths.config_file = under(environment, "XDG_CONFIG_HOME", *home, ".config") + "/config.yaml";
  paths.state_dir = under(environment, "XDG_STATE_HOME", *home, ".local/state");
  paths.data_dir = under(environment, "XDG_DATA_HOME", *home, ".local/share");
  const auto runtime_dir = environment("XDG_RUNTIME_DIR");
  paths.socket_dir = runtime_dir && runtime_dir->starts_with('/') ? *runtime_dir + "/warren"
                                                                  : paths.state_dir + "/run";
  return paths;
}

Result<> make_directories(const Paths& paths) {
  WARREN_TRY_VOID(make_private(paths.state_dir));
  WARREN_TRY_VOID(ensure_directory(paths.data_dir));
  return make_private(paths.socket_dir);
}

Result<> ensure_directory(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (!error && !fs::is_directory(path, error) && !error) {
    error = std::make_error_code(std::errc::not_a_directory);
  }
  if (error) return fail(system_error("cannot make the directory " + path, error.value()));
  return {};
}

}  // namespace warren::node
