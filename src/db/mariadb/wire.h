#pragma once

// One libmariadb handle and the waits for its socket. Calls of the library's non-blocking API run on a small stack of
// their own and come back whenever they would block (https://mariadb.com/kb/en/using-the-non-blocking-library/).
// Invariants: at most one call is under way; what it points to (texts, values) belongs to the session and outlives it;
// a call that was left by a cancellation can still be waited for. A wire that was hung up is still there for whoever
// waits on it, who is told when their turn comes, and takes no call.

#include "failure.h"
#include "penstock/async/task.h"
#include "penstock/net/descriptor.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include <mysql.h>

namespace penstock::db::mariadb {

// What one statement of a text gave: rows, or what it changed.
struct text_result {
  std::vector<std::string> columns;
  std::vector<std::vector<std::optional<std::string>>> rows;
  std::uint64_t changed = 0;
  std::uint64_t first_id = 0;
  unsigned warnings = 0;
};

// What a LOAD DATA LOCAL reads instead of a file, piece by piece; gives 0 bytes at its end.
class file_source {
 public:
  virtual std::size_t read(char* to, std::size_t most) noexcept = 0;

 protected:
  ~file_source() = default;
};

class wire {
 public:
  // A handle that is not connected. Throws `db_errc::other` when there is no memory.
  wire();
  wire(const wire&) = delete;
  wire& operator=(const wire&) = delete;
  ~wire() { hang_up(); }

  // Never blocks: says goodbye when nothing is under way, and breaks the connection otherwise. What waits for the
  // server then ends as lost, and so does each later call.
  void hang_up() noexcept;
  bool closed() const noexcept { return closed_; }
  // For after a wait that `done` knows nothing of.
  void throw_if_closed() const;
  MYSQL* handle() noexcept { return handle_; }

  // Starts a call, such as start<mysql_ping_start, mysql_ping_cont>(handle()); `done` waits until it has ended. Throws
  // `db_errc::connection_lost` when the wire was hung up.
  template <auto Start, auto Continue, class Subject, class... Arguments>
  void start(Subject* subject, Arguments... arguments);
  // The same for a call that looks a host up first, which blocks: on a worker, as nothing else uses the handle then.
  template <auto Start, auto Continue, class Subject, class... Arguments>
  auto starter(Subject* subject, Arguments... arguments);
  bool under_way() const noexcept { return waiting_ != 0; }
  // True when the server has nothing to say that was not read.
  bool quiet() const noexcept {
    return waiting_ == 0 && handle_->status == MYSQL_STATUS_READY && !mysql_more_results(handle_);
  }
  // Cancellable: the call is then still under way. A server that is silent for longer than the limit counts as lost.
  // `is_promised`: the server has said that the answer comes.
  task<void> done(bool is_promised = false);
  // 0: no limit.
  void limit_silence(duration limit) noexcept { silence_limit_ = limit; }
  // Has `step_in` run, once for each wait, when the server has been waited for for so long; the wait goes on after it.
  // Null: no more. What it throws leaves the call under way, as a cancellation does.
  using intervention = std::function<task<void>()>;
  void step_in_after(duration limit, intervention step_in) noexcept;
  // A server that is told to end a statement (KILL QUERY) between two statements of a text ends the text without a
  // word, though it has promised more answers. So `has_forgotten` is asked while one that was promised does not come,
  // ever more seldom; a server that has, twice in a row, counts as lost.
  using question = std::function<task<bool>()>;
  void ask_about_promises(question has_forgotten) noexcept { has_forgotten_ = std::move(has_forgotten); }
  // After it, a server whose system leaves what was sent unanswered for longer counts as lost too.
  void limit_absence(duration limit) noexcept;
  // Runs the statements of a text, which must stay where it is until nothing is under way; gives what each gave, or
  // false when one failed: see `complaint_of_session`. So does an answer too many or too few, where it is known how
  // many there must be (0: it is not): what is read from then on would be the answers to other statements.
  task<bool> run(std::string_view text, std::vector<text_result>& given, std::size_t answers = 0);
  // What the next statements may read with LOAD DATA LOCAL; null: nothing, and the server gets no file of ours whatever
  // it asks for. A statement that still reads when its source is taken away fails.
  void offer_file(file_source* source) noexcept { file_ = source; }
  // Frees it and tells the server.
  task<void> close_statement(MYSQL_STMT* statement);
  // Waits for a call that was left by a cancellation, and reads what else the server has to say to it.
  task<void> drain();
  // Lets the call that is under way fail at once, so that the library frees what it holds.
  void abandon() noexcept;

  bool connected() const noexcept { return handle_->net.pvio != nullptr; }
  // -1 when it is not connected.
  int socket() const noexcept { return static_cast<int>(mysql_get_socket(handle_)); }
  bool in_transaction() const noexcept { return (handle_->server_status & SERVER_STATUS_IN_TRANS) != 0; }
  // Whether a backslash in a text's literal is one: the session has NO_BACKSLASH_ESCAPES in its sql_mode.
  bool takes_backslashes_as_they_are() const noexcept {
    return (handle_->server_status & SERVER_STATUS_NO_BACKSLASH_ESCAPES) != 0;
  }
  // Names and values of what the last statement has set, of the settings that the server was told to tell of.
  std::vector<std::pair<std::string, std::string>> settings_told() const;
  complaint complaint_of_session() const;
  // Times the server was waited for.
  std::size_t round_trips() const noexcept { return round_trips_; }
  void count_round_trip() noexcept { ++round_trips_; }

  // What the last call gave.
  int number() const noexcept { return given_.number; }
  bool failed() const noexcept { return given_.truth != 0; }

 private:
  struct given {
    int number = 0;
    my_bool truth = 0;
    MYSQL* handle = nullptr;
    MYSQL_RES* rows = nullptr;
  };

  int* slot(int*) noexcept { return &given_.number; }
  my_bool* slot(my_bool*) noexcept { return &given_.truth; }
  MYSQL** slot(MYSQL**) noexcept { return &given_.handle; }
  MYSQL_RES** slot(MYSQL_RES**) noexcept { return &given_.rows; }
  template <class Result, class Subject>
  static Result* result_type(int (*)(Result*, Subject*, int));

  task<net::readiness> wait(bool is_promised);
  task<net::readiness> wait_for_promised();
  task<net::readiness> wait_within_limit();
  task<net::readiness> wait_and_step_in(bool is_promised);
  void resume(int ready) noexcept;
  void set_file_handler() noexcept;

  MYSQL* handle_;  // one that was never connected, once hung up
  bool closed_ = false;
  int waiting_ = 0;  // for these MYSQL_WAIT_… events; 0: no call is under way
  int (*resume_)(wire& self, int ready) = nullptr;
  void* subject_ = nullptr;    // a MYSQL, or a MYSQL_STMT
  bool is_statement_ = false;  // one that the call leaves alive
  given given_;
  std::size_t round_trips_ = 0;
  bool out_of_step_ = false;
  file_source* file_ = nullptr;
  duration silence_limit_ = duration::zero();
  duration absence_limit_ = duration::zero();
  duration step_in_after_ = duration::zero();
  intervention step_in_;
  question has_forgotten_;
  my_socket watched_ = -1;
  std::optional<net::descriptor_watch> watch_;
};

template <auto Start, auto Continue, class Subject, class... Arguments>
auto wire::starter(Subject* subject, Arguments... arguments) {
  is_statement_ = std::is_same_v<Subject, MYSQL_STMT>;
  subject_ = subject;
  resume_ = [](wire& self, int ready) {
    return Continue(self.slot(decltype(result_type(Continue))()), static_cast<Subject*>(self.subject_), ready);
  };
  return [this, subject, arguments...] {
    waiting_ = Start(slot(decltype(result_type(Continue))()), subject, arguments...);
  };
}

template <auto Start, auto Continue, class Subject, class... Arguments>
void wire::start(Subject* subject, Arguments... arguments) {
  throw_if_closed();
  starter<Start, Continue>(subject, arguments...)();
}

}  // namespace penstock::db::mariadb
