#include "storage/query.hpp"

#include <algorithm>
#include <limits>

#include "base/check.hpp"

namespace warren::storage {
namespace {

// What does not fit is too large for SQLite too, which says so.
int size_of(std::size_t bytes) {
  return static_cast<int>(std::min<std::size_t>(bytes, std::numeric_limits<int>::max()));
}

}  // namespace

Query::Query(Prepared& prepared) : prepared_(prepared) {
  WARREN_CHECK(!prepared.in_use);
  prepared_.in_use = true;
}

Query::~Query() {
  prepared_.statement.tryReset();
  prepared_.statement.clearBindings();
  prepared_.in_use = false;
}

Query& Query::with_integer(std::int64_t value) {
  prepared_.statement.bind(next_++, value);
  return *this;
}

Query& Query::with(double value) {
  prepared_.statement.bind(next_++, value);
  return *this;
}

Query& Query::with(std::string_view text) {
  prepared_.statement.bind(next_++, std::string(text));
  return *this;
}

Query& Query::with(BytesView bytes) {
  // A null pointer would bind NULL, not an empty blob.
  prepared_.statement.bind(next_++, bytes.empty() ? static_cast<const void*>("") : bytes.data(),
                           size_of(bytes.size()));
  return *this;
}

Query& Query::with_null() {
  prepared_.statement.bind(next_++);
  return *this;
}

std::int64_t Query::integer(int column) const {
  const SQLite::Column value = prepared_.statement.getColumn(column);
  return value.isInteger() ? value.getInt64() : 0;
}

std::uint64_t Query::natural(int column) const {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(integer(column), 0));
}

std::uint32_t Query::natural32(int column) const {
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(natural(column), std::numeric_limits<std::uint32_t>::max()));
}

std::optional<double> Query::real(int column) const {
  const SQLite::Column value = prepared_.statement.getColumn(column);
  if (!value.isFloat() && !value.isInteger()) return std::nullopt;
  return value.getDouble();
}

std::string Query::text(int column) const {
  return text(column, std::numeric_limits<std::size_t>::max()).value_or(std::string());
}

std::optional<std::string> Query::text(int column, std::size_t bytes_max) const {
  const SQLite::Column value = prepared_.statement.getColumn(column);
  if (!value.isText() || static_cast<std::size_t>(value.getBytes()) > bytes_max) {
    return std::nullopt;
  }
  return value.getString();
}

Bytes Query::bytes(int column) const {
  return to_bytes(blob(column, std::numeric_limits<std::size_t>::max()));
}

BytesView Query::blob(int column, std::size_t bytes_max) const {
  const SQLite::Column value = prepared_.statement.getColumn(column);
  if (!value.isBlob() || static_cast<std::size_t>(value.getBytes()) > bytes_max) return {};
  return {static_cast<const std::uint8_t*>(value.getBlob()),
          static_cast<std::size_t>(value.getBytes())};
}

}  // namespace warren::storage
