// Unpacks archives of arbitrary bytes, and reads intent logs of arbitrary bytes. Finds: a path that
// a rule should have refused, more bytes than are allowed, a file that is written before it began.
// Links: warren::library_install

#include <set>

#include "base/check.hpp"
#include "library/install/archive_reader.hpp"
#include "library/install/transaction.hpp"

namespace {

using namespace warren;
using namespace warren::install;

constexpr std::uint64_t kBytesMax = 1u << 20;

class CheckingSink final : public UnpackSink {
 public:
  Result<> folder(const std::string& path) override {
    WARREN_CHECK(content::check_path(path).has_value());
    return {};
  }
  Result<> begin_file(const std::string& path, bool, std::optional<std::uint64_t> bytes) override {
    WARREN_CHECK(content::check_path(path).has_value() && !in_file_);
    WARREN_CHECK(!bytes || *bytes <= kBytesMax);
    WARREN_CHECK(files_.insert(path).second);
    in_file_ = true;
    return {};
  }
  Result<> write(std::uint64_t offset, BytesView bytes) override {
    WARREN_CHECK(in_file_ && offset + bytes.size() <= kBytesMax);
    written_ += bytes.size();
    WARREN_CHECK(written_ <= kBytesMax);
    return {};
  }
  Result<> end_file(std::uint64_t bytes) override {
    WARREN_CHECK(in_file_ && bytes <= kBytesMax);
    in_file_ = false;
    return {};
  }
  Result<> symlink(const std::string& path, const std::string& target) override {
    WARREN_CHECK(content::check_path(path).has_value());
    WARREN_CHECK(content::check_symlink(path, target).has_value());
    WARREN_CHECK(!files_.contains(path));
    return {};
  }
  Result<std::uint64_t> copy(const std::string& path, const std::string& from) override {
    WARREN_CHECK(files_.contains(from) && files_.insert(path).second);
    return 0;
  }

 private:
  std::set<std::string> files_;
  bool in_file_ = false;
  std::uint64_t written_ = 0;
};

void unpack(BytesView bytes) {
  limits::Install limits;
  limits.bytes_max = kBytesMax;
  limits.names_max = 1000;
  UnpackRules rules(limits);
  const auto input = [&] {
    return ArchiveReader::Input{
        "fuzz", bytes.size(),
        [bytes](std::uint64_t offset, MutableBytes out) -> Result<std::size_t> {
          const BytesView part = bytes.subspan(static_cast<std::size_t>(offset));
          const std::size_t count = std::min(part.size(), out.size());
          std::ranges::copy(part.first(count), out.begin());
          return count;
        }};
  };
  static_cast<void>(ArchiveReader::promised_bytes(input()));
  auto reader = ArchiveReader::open(input(), rules);
  if (!reader) return;
  CheckingSink sink;
  for (bool more = true; more;) {
    const auto stepped = (*reader)->step(sink, 64u << 10);
    more = stepped.value_or(false);
    WARREN_CHECK(rules.bytes() <= kBytesMax && rules.files() <= limits.names_max);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const BytesView bytes(data, size);
  if (const auto log = decode_log(bytes)) {
    WARREN_CHECK(*decode_log(encode_log(*log)) == *log);
  }
  unpack(bytes);
  return 0;
}
