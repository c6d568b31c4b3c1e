#include "penstock/db/detail/memory_sqlite.h"

#include "location.h"
#include "session.h"

namespace penstock::db::detail {

struct memory_session::implementation {
  explicit implementation(sqlite::location where) : session(std::move(where)) { session.configure(); }
  sqlite::session session;
};

memory_session::memory_session(const std::string& file) {
  sqlite::location where = sqlite::parse_location(":memory:");
  where.file = file;
  implementation_ = std::make_unique<implementation>(std::move(where));
}

memory_session::~memory_session() = default;

result memory_session::query(const std::string& sql, const parameters& values) {
  return implementation_->session.query(sql, values);
}

std::uint64_t memory_session::execute(const std::string& sql, const parameters& values) {
  return implementation_->session.execute(sql, values);
}

void memory_session::insert_rows(const table_definition& into, const row_batch& rows, batch_report& report) {
  implementation_->session.insert_rows(into, rows, report);
}

void memory_session::prepare_table(const table_definition& definition) {
  implementation_->session.prepare_table(definition);
}

void memory_session::begin() { implementation_->session.begin(); }
void memory_session::commit() { implementation_->session.commit(); }
void memory_session::rollback() noexcept { implementation_->session.rollback(); }
bool memory_session::in_transaction() const noexcept { return implementation_->session.in_transaction(); }

memory_database::memory_database()
    : file_(sqlite::new_memory_file()), anchor_(std::make_unique<memory_session>(file_)) {}

}  // namespace penstock::db::detail
