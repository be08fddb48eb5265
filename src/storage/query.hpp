#pragma once
// A prepared statement in use: values in, rows out.

#include <SQLiteCpp/Column.h>
#include <SQLiteCpp/Statement.h>

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/time.hpp"

namespace warren::storage {

/// A statement as Database keeps it.
struct Prepared {
  SQLite::Statement statement;
  bool in_use = false;
};

/// Takes values in order, gives rows, and is reset at its end. At most one at a time of the same
/// text. Throws SQLite::Exception, which Database::guarded() turns into an error.
///
/// The columns of a row may hold anything that the maker of the file liked: what is not of the type
/// asked for counts as 0, as empty or as absent.
class Query {
 public:
  explicit Query(Prepared& prepared);
  ~Query();
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  /// The value of the next parameter. Numbers of 64 bits without a sign stand as the signed number
  /// of the same bits, times as nanoseconds since 1970, an empty optional as NULL. Texts and bytes
  /// are copied.
  template <std::integral T>
  Query& with(T value) {
    return with_integer(static_cast<std::int64_t>(value));
  }
  Query& with(double value);
  Query& with(std::string_view text);
  Query& with(BytesView bytes);
  Query& with(WallTime time) { return with_integer(time.time_since_epoch().count()); }
  template <class T>
  Query& with(const std::optional<T>& value) {
    return value ? with(*value) : with_null();
  }
  Query& with_null();

  /// The next row; false after the last one.
  bool step() { return prepared_.statement.executeStep(); }
  /// For a statement without rows; returns how many rows it changed.
  int run() { return prepared_.statement.exec(); }

  bool is_null(int column) const { return prepared_.statement.getColumn(column).isNull(); }
  std::int64_t integer(int column) const;
  /// A count or size: what is negative is 0.
  std::uint64_t natural(int column) const;
  /// The same, at most what fits.
  std::uint32_t natural32(int column) const;
  /// A number of 64 bits without a sign.
  std::uint64_t bits(int column) const { return static_cast<std::uint64_t>(integer(column)); }
  bool flag(int column) const { return integer(column) != 0; }
  WallTime time(int column) const { return WallTime(std::chrono::nanoseconds(integer(column))); }
  std::optional<double> real(int column) const;
  std::string text(int column) const;
  /// Absent when it is longer than `bytes_max`.
  std::optional<std::string> text(int column, std::size_t bytes_max) const;
  Bytes bytes(int column) const;
  /// Without a copy, valid until the next step(). Empty when it is longer than `bytes_max`.
  BytesView blob(int column, std::size_t bytes_max) const;

 private:
  Query& with_integer(std::int64_t value);

  Prepared& prepared_;
  int next_ = 1;
};

}  // namespace warren::storage
