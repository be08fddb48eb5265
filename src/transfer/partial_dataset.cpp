#include "transfer/partial_dataset.hpp"

#include "content/tree_reader.hpp"
#include "crypto/sha256.hpp"

namespace warren::transfer {

Result<std::size_t> PartialDataset::read_leaf(std::uint64_t leaf, MutableBytes out) const {
  const content::Leaf& wanted = tree_->leaves.at(leaf);
  const content::LeafPlace place = content::place_of_leaf(*tree_, leaf);
  const std::string& path = tree_->entries[place.entry].path;
  WARREN_TRY(const auto directory, runtime::Directory::open(paths_.directory));
  const std::string inner = path.empty() ? std::string() : '/' + path;
  auto opened = directory.open_file(paths_.temporary_name + inner);
  // It got its name meanwhile: who asked for the part gets it all the same.
  const bool gone = !opened && opened.error().code() == ErrorCode::kNotFound;
  if (gone) opened = directory.open_file(paths_.final_name + inner);
  WARREN_TRY(const auto file, std::move(opened));
  const MutableBytes room = out.first(wanted.bytes);
  WARREN_TRY(const std::size_t n, file.read_at(place.offset, room));
  if (n != room.size() || Digest{crypto::sha256(room)} != wanted.digest) {
    return fail(ErrorCode::kIntegrity, "a temporary file is not as it was written");
  }
  return n;
}

}  // namespace warren::transfer
