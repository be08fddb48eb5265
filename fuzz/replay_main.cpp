// Runs a fuzz target over saved inputs, without libFuzzer: `replay_<name> FILE|FOLDER...`. Fails
// when there is no input at all, so that a lost corpus is noticed. Every input also runs cut short
// and with single bytes changed, a little of what the fuzzer does.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

namespace fs = std::filesystem;
using Input = std::vector<std::uint8_t>;

constexpr std::size_t kVariantsMax = 256;

void run(const Input& input) {
  // A copy without spare capacity, so that a sanitizer sees the first byte read beyond the end.
  const Input exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

void run_with_variants(const Input& input) {
  run(input);
  const std::size_t step = std::max<std::size_t>(1, input.size() / kVariantsMax);
  for (std::size_t at = 0; at < input.size(); at += step) {
    run(Input(input.begin(), input.begin() + static_cast<std::ptrdiff_t>(at)));
    Input changed = input;
    changed[at] = static_cast<std::uint8_t>(changed[at] ^ (at % 3 == 0 ? 0xff : 1u << at % 8));
    run(changed);
  }
}

std::vector<fs::path> files_of(const fs::path& place) {
  if (!fs::is_directory(place)) return {place};
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(place)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::ranges::sort(files);
  return files;
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t count = 0;
  for (int i = 1; i < argc; ++i) {
    if (!fs::exists(argv[i])) continue;
    for (const fs::path& file : files_of(argv[i])) {
      std::ifstream in(file, std::ios::binary);
      const Input input{std::istreambuf_iterator<char>(in), {}};
      if (!in.good() && !in.eof()) {
        std::fprintf(stderr, "cannot read %s\n", file.c_str());
        return 1;
      }
      // Named before it runs: a crash must tell its input.
      std::fprintf(stderr, "%s (%zu bytes)\n", file.c_str(), input.size());
      run_with_variants(input);
      ++count;
    }
  }
  std::fprintf(stderr, "%zu inputs replayed\n", count);
  return count > 0 ? 0 : 1;
}
