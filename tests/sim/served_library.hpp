#pragma once
// A library that a real data server gives away, in a world of two hosts: what lies in it, what
// happens to it, and what of it a peer may have. library_asker.hpp is the peer.

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "content/importer.hpp"
#include "content/store.hpp"
#include "content/verify.hpp"
#include "crypto/keys.hpp"
#include "library/install/installer.hpp"
#include "library/library_service.hpp"
#include "library/reserved.hpp"
#include "sim/memory_link.hpp"
#include "sim/world.hpp"
#include "swarm/swarm.hpp"
#include "transfer/data_server.hpp"
#include "transport/memory/memory_transport.hpp"

namespace warren::served {

namespace fs = std::filesystem;
using runtime::awaitable;
using namespace transfer;

inline constexpr std::string_view kCanary = "<never-to-be-given>";
inline constexpr std::string_view kOwnName = "own-save-game";

/// A folder that is gone at the end.
class Place {
 public:
  Place() {
    std::error_code error;
    const fs::path memory = "/dev/shm";
    const bool in_memory = fs::is_directory(memory, error);
    std::string pattern =
        ((in_memory ? memory : fs::temp_directory_path()) / "warren-served-XXXXXX").string();
    WARREN_CHECK(::mkdtemp(pattern.data()) != nullptr);
    path_ = fs::canonical(pattern);
  }
  ~Place() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

class ServedLibrary {
 public:
  using LeaveOut = std::function<bool(std::string_view name)>;
  /// Who may have a dataset.
  enum class Whose : std::uint8_t { kOpenEntry, kOtherEntry, kTrustedEntry, kShare, kNobody };
  struct Known {
    Whose whose = Whose::kNobody;
    std::shared_ptr<const content::Tree> tree;
    std::map<Cid, Bytes> nodes;
  };

  /// `leave_out`: names in the top of an entry that are not hashed.
  explicit ServedLibrary(LeaveOut leave_out) : leave_out_(std::move(leave_out)) {
    make_files();
    start();
    learn();
  }
  ~ServedLibrary() {
    operation_.end();
    run(server_->close());
    run(libraries_->close());
    run(asker_->close());
    run(swarm_->close());
  }
  ServedLibrary(const ServedLibrary&) = delete;
  ServedLibrary& operator=(const ServedLibrary&) = delete;

  sim::World& world() { return world_; }
  template <class T>
  T run(awaitable<T> task) {
    return sim::run(world_, std::move(task));
  }
  /// `broken` stays in an operation for ever; the rest comes to rest long before.
  void settle() { static_cast<void>(run(libraries_->wait_settled(world_.now() + 1s))); }
  Result<swarm::ProtocolStream> open_stream() {
    std::vector<std::string> protocols(1, std::string(kDataProtocol));
    return run(asker_->open_stream(swarm_->local_peer(), std::move(protocols), world_.now() + 10s));
  }
  const limits::Transfer& limits() const { return limits_; }

  /// All datasets that there ever were, and those that nobody may have.
  const std::map<Cid, Known>& known() const { return known_; }
  const std::vector<Cid>& roots() const { return roots_; }
  /// Of all their blocks and leaves.
  const std::vector<Cid>& cids() const { return cids_; }
  std::set<Cid> visible_now() const {
    std::set<Cid> out;
    for (const auto& [root, known] : known_) {
      const bool visible = (known.whose == Whose::kOpenEntry && !held_) ||
                           known.whose == Whose::kOtherEntry || known.whose == Whose::kShare ||
                           (known.whose == Whose::kTrustedEntry && trusted_);
      if (visible) out.insert(root);
    }
    return out;
  }
  /// Whether the files, or what is listed of them, are other than at first.
  bool dirty() const { return dirty_; }
  bool held() const { return held_; }
  void set_trusted(bool trusted) { trusted_ = trusted; }
  bool trusted() const { return trusted_; }

  /// An operation is under way on `open`, or not.
  void hold(bool wanted) {
    if (wanted == held_) return;
    operation_.end();
    if (wanted) {
      auto begun = libraries_->begin_operation("open");
      if (!begun) return;
      operation_ = std::move(*begun);
      run(server_->leave(entry("open").string()));
    }
    held_ = wanted;
  }

  static constexpr std::size_t kChanges = 7;
  /// One of the kChanges things that may happen to the files; `seed`: of what is written.
  void change(std::size_t what, std::uint8_t seed) {
    dirty_ = true;
    switch (what) {
      case 0:
        put_back();
        write_ordinary("open", "data/small", digits(500, seed));
        learn(place_.path() / "mirror/open", Whose::kOpenEntry);
        break;
      case 1:
        put_back();
        WARREN_CHECK(libraries_->scan(""));
        if (seed % 2 == 0) settle();
        break;
      case 2:  // The same names, sizes and times, and other files.
        exchange(entry("open") / "data", entry("open") / "local/data");
        break;
      case 3:
        if (linked_ || exchanged_ || !fs::exists(entry("open") / "local")) break;
        fs::rename(entry("open") / "data/small", entry("open") / "aside");
        fs::create_symlink("../local/" + std::string(kOwnName), entry("open") / "data/small");
        linked_ = true;
        break;
      case 4: put_back(); break;
      case 5:
      case 6: {
        put_back();
        hold(false);
        const auto progress = std::make_shared<content::Progress>();
        if (what == 5) {
          static_cast<void>(run(installer_->uninstall("open")));
        } else if (run(installer_->install("open", progress))) {
          write_own("open", "local/" + std::string(kOwnName), 3'000);
        }
        break;
      }
      default: break;
    }
  }
  /// Files that lie in the place of others go back to theirs.
  void put_back() {
    if (exchanged_) exchange(entry("open") / "data", entry("open") / "local/data");
    if (!linked_) return;
    fs::rename(entry("open") / "aside", entry("open") / "data/small");
    linked_ = false;
  }

 private:
  // ------------------------------------------------------------------------------ what is there

  fs::path entry(const std::string& id) const { return place_.path() / "things" / id; }
  /// Older than any hash of it, and never twice the same.
  void write(const fs::path& path, std::string_view content) {
    fs::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
    set_time(path, ++clock_);
  }
  static void set_time(const fs::path& path, std::int64_t seconds) {
    const timespec time{.tv_sec = 1'000'000'000 + seconds, .tv_nsec = 0};
    const std::array<timespec, 2> times{time, time};
    WARREN_CHECK(::utimensat(AT_FDCWD, path.c_str(), times.data(), 0) == 0);
  }
  /// A file of an entry, and of the copy that has nothing else.
  void write_ordinary(const std::string& id, const std::string& name, std::string_view content) {
    write(entry(id) / name, content);
    write(place_.path() / "mirror" / id / name, content);
  }
  void write_own(const std::string& id, const std::string& name, std::size_t bytes = 100) {
    std::string content;
    while (content.size() < bytes) content += kCanary;
    content.resize(bytes);
    write(entry(id) / name, content);
  }
  static std::string digits(std::size_t bytes, std::size_t seed) {
    std::string out(bytes, '0');
    for (std::size_t i = 0; i < bytes; ++i) {
      out[i] = static_cast<char>('0' + (i * 7 + i / 1000 + seed) % 10);
    }
    return out;
  }

  void make_files() {
    write_ordinary("open", "version.ini", "version = 1\n");
    write_ordinary("open", "data/large", digits((1u << 20) + 200'000, 1));
    write_ordinary("open", "data/small", digits(500, 2));
    write_ordinary("open", "empty", "");
    write_own("open", "local/" + std::string(kOwnName), 3'000);
    write_own("open", "local/data/small", 500);
    write_own("open", "local/data/large", (1u << 20) + 200'000);
    for (const char* name : {"data/small", "data/large"}) {
      set_time(entry("open") / "local" / name, 77);
      set_time(entry("open") / name, 77);
    }
    write_own("open", ".warren.version.ini");

    write_ordinary("odd", "file", digits(2'000, 3));
    for (const std::string name : {".local.backup/", ".local.installing/", ".warren.new/",
                                   ".warren.old/", ".warren-anything/"}) {
      write_own("odd", name + std::string(kOwnName));
    }
    write_own("odd", "local");
    write_own("odd", ".warren_owned");

    write_ordinary("broken", "file", digits(1'000, 4));
    write_own("broken", ".warren.json");
    write_own("broken", ".local.installing/.warren_owned");
    write_own("broken", "local/" + std::string(kOwnName));

    write(place_.path() / "closed/secret/file", digits(1'500, 5));
    write(place_.path() / "shared/file", digits(1'700, 6));
  }

  static std::unique_ptr<swarm::Swarm> make_swarm(runtime::Runtime& runtime,
                                                  const transport::memory::Hub& hub,
                                                  sim::Host host) {
    const auto key = crypto::PrivateKey::from_seed(Bytes(32, static_cast<std::uint8_t>(host)));
    auto made = std::make_unique<swarm::Swarm>(
        runtime, PeerId::from_public_key(key.public_key().protobuf()));
    made->add_transport(std::make_unique<transport::memory::MemoryTransport>(
        runtime, hub, key.public_key(), transport::memory::MemoryConfig{.node = host}));
    WARREN_CHECK(made->listen(Multiaddr::memory(host)));
    return made;
  }

  void start() {
    runtime_ = world_.make_runtime(1);
    asker_runtime_ = world_.make_runtime(2);
    store_ = std::move(*content::Store::open(":memory:"));
    swarm_ = make_swarm(*runtime_, hub_, 1);
    asker_ = make_swarm(*asker_runtime_, hub_, 2);

    library::LibraryOptions options;
    options.database = ":memory:";
    options.times.settle = 10ms;
    options.times.quiet = 30ms;
    options.hash = [this](std::string folder, std::string id) {
      return hash(std::move(folder), std::move(id));
    };
    options.forget = [this](std::string id) { return forget(std::move(id)); };
    options.recover = [this](std::string folder, std::string id) {
      return installer_->recover(std::move(folder), std::move(id));
    };
    libraries_ = std::make_unique<library::LibraryService>(*runtime_, std::move(options));

    ServerHooks hooks;
    hooks.trusted = [this](const PeerId&) { return trusted_; };
    hooks.entry_audience = [this](std::string_view id, std::string_view path) {
      return libraries_->audience(id, path);
    };
    server_ = std::make_unique<DataServer>(*runtime_, *store_, limits_, std::move(hooks));
    swarm_->set_handler(std::string(kDataProtocol), [this](swarm::ProtocolStream stream) {
      return server_->serve(std::move(stream));
    });
    install::InstallerOptions more;
    more.limits.free_bytes_min = 0;
    more.leave = [this](std::string path) { return server_->leave(std::move(path)); };
    installer_ = std::make_unique<install::Installer>(*runtime_, *libraries_, std::move(more));

    WARREN_CHECK(run(libraries_->open()));
    add_folder("things", {});
    add_folder("closed", {peers::Access::kTrusted, {}});
    WARREN_CHECK(run(content::share_path(*runtime_, *store_, (place_.path() / "shared").string(),
                                         "shared", std::make_shared<content::Progress>())));
    settle();
    WARREN_CHECK(run(asker_->connect(Multiaddr::memory(1), kNever)));
  }
  void add_folder(const std::string& name, const peers::AccessRule& audience) {
    library::FolderSettings settings;
    settings.path = (place_.path() / name).string();
    settings.audience = audience;
    WARREN_CHECK(run(libraries_->add_folder(settings)));
  }
  awaitable<Result<Cid>> hash(std::string folder, std::string id) {
    co_return co_await content::import_entry(*runtime_, *store_, id, folder + "/" + id, leave_out_,
                                             std::make_shared<content::Progress>());
  }
  awaitable<void> forget(std::string id) {
    static_cast<void>(store_->remove_entry(id));
    co_return;
  }
  // -------------------------------------------------------------------------- what may be given

  void learn() {
    learn(place_.path() / "mirror/open", Whose::kOpenEntry);
    learn(place_.path() / "mirror/odd", Whose::kOtherEntry);
    learn(place_.path() / "closed/secret", Whose::kTrustedEntry);
    learn(place_.path() / "shared", Whose::kShare);
    learn(place_.path() / "mirror/broken", Whose::kNobody);
    for (const char* id : {"open", "odd", "broken"}) learn(entry(id), Whose::kNobody);
    learn(entry("open") / "local", Whose::kNobody);
    learn(entry("odd") / "local", Whose::kNobody);
  }
  void learn(const fs::path& path, Whose whose) {
    const auto imported = run(
        content::import_path(*runtime_, path.string(), {}, std::make_shared<content::Progress>()));
    WARREN_CHECK(imported);
    const Cid root = imported->tree->root;
    if (known_.contains(root)) return;
    Known& known = known_[root];
    known.whose = whose;
    known.tree = imported->tree;
    for (const content::NodeBlock& node : imported->nodes) {
      known.nodes[node.cid] = node.bytes;
      cids_.push_back(node.cid);
    }
    for (const content::Leaf& leaf : imported->tree->leaves) {
      cids_.push_back(content::leaf_cid(leaf.digest));
    }
    roots_.push_back(root);
  }
  void exchange(const fs::path& a, const fs::path& b) {
    if (linked_ || !fs::exists(a) || !fs::exists(b)) return;
    const fs::path aside = entry("open") / "aside";
    fs::rename(a, aside);
    fs::rename(b, a);
    fs::rename(aside, b);
    exchanged_ = !exchanged_;
  }

  LeaveOut leave_out_;
  limits::Transfer limits_;
  Place place_;
  sim::World world_{1};
  transport::memory::Hub hub_{std::make_shared<sim::MemoryLink>(world_)};
  std::unique_ptr<runtime::Runtime> runtime_;
  std::unique_ptr<runtime::Runtime> asker_runtime_;
  std::unique_ptr<content::Store> store_;
  std::unique_ptr<swarm::Swarm> swarm_;
  std::unique_ptr<swarm::Swarm> asker_;
  std::unique_ptr<library::LibraryService> libraries_;
  std::unique_ptr<DataServer> server_;
  std::unique_ptr<install::Installer> installer_;
  library::LibraryService::Operation operation_;
  std::map<Cid, Known> known_;
  std::vector<Cid> roots_;
  std::vector<Cid> cids_;
  std::int64_t clock_ = 0;
  bool dirty_ = false;
  bool held_ = false;
  bool trusted_ = false;
  bool exchanged_ = false;
  bool linked_ = false;
};

}  // namespace warren::served
