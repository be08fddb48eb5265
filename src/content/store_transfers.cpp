// The part of Store that keeps transfers.

#include <fmt/format.h>

#include "base/check.hpp"
#include "content/store.hpp"
#include "content/store_database.hpp"

namespace warren::content {
namespace {

using storage::Query;
using storage::Transaction;

constexpr const char* kTransferColumns =
    "SELECT id, root, name, out_path, temporary_path, state, bytes_total, bytes_done, created_ns, "
    "finished_ns, error_code, error_message, error_hint, sources, audience, "
    "background FROM transfers ";

std::unexpected<Error> no_transfer(std::int64_t id) {
  return fail(ErrorCode::kNotFound, fmt::format("no transfer has the id {}", id),
              "'warren transfers' lists them");
}

TransferState state_of(std::string_view name) {
  for (const TransferState state : {TransferState::kActive, TransferState::kPaused,
                                    TransferState::kCompleted, TransferState::kFailed}) {
    if (transfer_state_name(state) == name) return state;
  }
  return TransferState::kFailed;
}

ErrorCode code_of(std::string_view name) {
  for (int i = static_cast<int>(ErrorCode::kInternal); i <= static_cast<int>(ErrorCode::kNoDaemon);
       ++i) {
    if (error_name(static_cast<ErrorCode>(i)) == name) return static_cast<ErrorCode>(i);
  }
  return ErrorCode::kInternal;
}

// Peer ids hold no line ends.
std::string join_lines(const std::vector<std::string>& lines) {
  std::string out;
  for (const std::string& line : lines) out += line + '\n';
  return out;
}

std::vector<std::string> split_lines(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = text.find('\n', start);
    lines.push_back(text.substr(start, end - start));
    if (end == std::string::npos) break;
    start = end + 1;
  }
  return lines;
}

TransferRecord read_transfer(const Query& row) {
  TransferRecord record;
  record.id = row.integer(0);
  const auto root = Cid::from_bytes(row.bytes(1));
  WARREN_CHECK(root);  // Only this file writes it.
  record.root = *root;
  record.name = row.text(2);
  record.out_path = row.text(3);
  record.temporary_path = row.text(4);
  record.state = state_of(row.text(5));
  record.bytes_total = row.natural(6);
  record.bytes_done = row.natural(7);
  record.created_at = row.time(8);
  record.finished_at = row.time(9);
  if (const std::string code = row.text(10); !code.empty()) {
    record.error.emplace(code_of(code), row.text(11), row.text(12));
  }
  record.sources = split_lines(row.text(13));
  if (!row.is_null(14)) record.audience = read_audience(row.text(14));
  record.background = row.integer(15) != 0;
  return record;
}

// Binds what both INSERT and UPDATE write.
void bind_fields(Query& query, const TransferRecord& record) {
  query.with(record.root.to_bytes())
      .with(record.name)
      .with(record.out_path)
      .with(record.temporary_path)
      .with(transfer_state_name(record.state))
      .with(record.bytes_total)
      .with(record.bytes_done)
      .with(record.finished_at);
  if (record.error) {
    query.with(error_name(record.error->code()))
        .with(record.error->message())
        .with(record.error->hint());
  } else {
    query.with_null().with_null().with_null();
  }
  query.with(join_lines(record.sources));
  if (record.audience) {
    query.with(record.audience->to_string());
  } else {
    query.with_null();
  }
  query.with(std::int64_t{record.background ? 1 : 0});
}

}  // namespace

std::string_view transfer_state_name(TransferState state) noexcept {
  switch (state) {
    case TransferState::kActive: return "active";
    case TransferState::kPaused: return "paused";
    case TransferState::kCompleted: return "completed";
    case TransferState::kFailed: return "failed";
  }
  return "failed";
}

Result<std::int64_t> Store::add_transfer(const TransferRecord& record) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<std::int64_t> {
    Query query = database_->query(
        "INSERT INTO transfers(root, name, out_path, temporary_path, state, bytes_total, "
        "bytes_done, finished_ns, error_code, error_message, error_hint, sources, audience, "
        "background, created_ns) VALUES(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    bind_fields(query, record);
    query.with(record.created_at).run();
    return database_->last_id();
  });
}

Result<> Store::update_transfer(const TransferRecord& record) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<> {
    Query query = database_->query(
        "UPDATE transfers SET root = ?, name = ?, out_path = ?, temporary_path = ?, state = ?, "
        "bytes_total = ?, bytes_done = ?, finished_ns = ?, error_code = ?, error_message = ?, "
        "error_hint = ?, sources = ?, audience = ?, background = ? WHERE id = ?");
    bind_fields(query, record);
    if (query.with(record.id).run() == 0) return no_transfer(record.id);
    return {};
  });
}

Result<> Store::update_transfer_bitmap(std::int64_t id, BytesView bitmap,
                                       std::uint64_t bytes_done) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<> {
    Query query = database_->query("UPDATE transfers SET bitmap = ?, bytes_done = ? WHERE id = ?");
    if (query.with(bitmap).with(bytes_done).with(id).run() == 0) return no_transfer(id);
    return {};
  });
}

Result<Bytes> Store::transfer_bitmap(std::int64_t id) {
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<Bytes> {
    Query query = database_->query("SELECT bitmap FROM transfers WHERE id = ?");
    if (!query.with(id).step()) return no_transfer(id);
    return query.bytes(0);
  });
}

Result<TransferRecord> Store::transfer(std::int64_t id) {
  static const std::string kSql = std::string(kTransferColumns) + "WHERE id = ?";
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<TransferRecord> {
    Query query = database_->query(kSql);
    if (!query.with(id).step()) return no_transfer(id);
    return read_transfer(query);
  });
}

Result<std::vector<TransferRecord>> Store::transfers() {
  static const std::string kSql = std::string(kTransferColumns) + "ORDER BY id";
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<std::vector<TransferRecord>> {
    std::vector<TransferRecord> records;
    Query query = database_->query(kSql);
    while (query.step()) records.push_back(read_transfer(query));
    return records;
  });
}

Result<> Store::remove_transfer(std::int64_t id) {
  WARREN_TRY_VOID(remove_finished(id));
  const std::lock_guard lock(mutex_);
  return database_->guarded([&]() -> Result<> {
    Transaction transaction(*database_);
    Bytes root;
    {
      Query query = database_->query("SELECT root FROM transfers WHERE id = ?");
      if (!query.with(id).step()) return no_transfer(id);
      root = query.bytes(0);
    }
    database_->query("DELETE FROM transfers WHERE id = ?").with(id).run();
    WARREN_TRY(const Cid cid, Cid::from_bytes(root));
    drop_if_unused(*database_, cid);
    transaction.commit();
    return {};
  });
}

}  // namespace warren::content
