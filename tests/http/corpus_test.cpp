// Every request of ../shared/corpora/http, over a socket: sent whole, and cut at every byte.

#include <penstock/async/race.h>
#include <penstock/async/task_group.h>
#include <penstock/async/timeout.h>
#include <penstock/async/yield.h>
#include <penstock/http/error.h>
#include <penstock/http/server.h>
#include <penstock/net/error.h>
#include <penstock/net/event_loop.h>
#include <penstock/observe/log.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include <gtest/gtest.h>

namespace penstock::http {
namespace {

using namespace std::chrono_literals;
namespace fs = std::filesystem;

enum class verdict {
  accept,     // every request is answered, none with a refusal
  refuse,     // the last answer is 400, 413, 414, 417, 431, 501 or 505, and the connection closes
  incomplete  // the server waits for more; once there can be none it closes without an answer to it
};

struct exception_to_the_folder {
  verdict chosen;
  const char* why;
};

// Where our verdict is not that of the folder the file lies in, or the file is the incomplete kind of invalid.
const std::map<std::string, exception_to_the_folder>& exceptions() {
  static const std::map<std::string, exception_to_the_folder> table{
#include "corpus_verdicts.inc"
  };
  return table;
}

std::string unescape(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream all;
  all << in.rdbuf();
  std::string text = all.str();
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n' || text[i] == '\r') continue;
    if (text[i] != '\\' || i + 1 == text.size()) {
      out += text[i];
      continue;
    }
    switch (text[++i]) {
      case 'r':
        out += '\r';
        break;
      case 'n':
        out += '\n';
        break;
      case 't':
        out += '\t';
        break;
      case '0':
        out += '\0';
        break;
      case 'x':
        out += static_cast<char>(std::stoi(text.substr(i + 1, 2), nullptr, 16)), i += 2;
        break;
      default:
        out += '\\', out += text[i];
        break;
    }
  }
  return out;
}

std::vector<int> statuses(const std::string& answers) {
  std::vector<int> found;
  for (std::size_t at = answers.find("HTTP/1.1 "); at != std::string::npos; at = answers.find("HTTP/1.1 ", at + 1)) {
    int status = std::atoi(answers.substr(at + 9, 3).c_str());  // 0 where a problem's text speaks of HTTP/1.1
    if (status >= 200) found.push_back(status);
  }
  return found;
}

bool is_refusal(int status) {
  return status == 400 || status == 413 || status == 414 || status == 417 || status == 431 || status == 501 ||
         status == 505;
}

verdict judge(const std::vector<int>& answers, bool broke_off) {
  if (answers.empty() || broke_off) return verdict::incomplete;
  return std::any_of(answers.begin(), answers.end(), is_refusal) ? verdict::refuse : verdict::accept;
}

task<std::vector<int>> send_cut(net::endpoint where, const std::string& request, std::size_t cut) {
  std::unique_ptr<net::stream> s = co_await net::connect(where);
  std::string answers;
  try {
    co_await s->write(net::bytes_of(std::string_view(request).substr(0, cut)));
    if (cut < request.size()) {
      for (int turns = 0; turns < 4; ++turns) co_await yield();
      co_await s->write(net::bytes_of(std::string_view(request).substr(cut)));
    }
    s->shutdown_send();
    std::byte buffer[4096];
    while (std::size_t n = co_await s->read_some(buffer)) answers.append(reinterpret_cast<char*>(buffer), n);
  } catch (const error& e) {
    if (!e.is(net::net_errc::connection_closed)) throw;
  }
  co_return statuses(answers);
}

task<response> answer_anything(request& r, bool& incomplete) {
  std::string body;
  try {
    body = co_await r.body().read_all(1 << 20);
  } catch (const error& e) {
    incomplete = e.is(http_errc::body_incomplete);
    throw;
  }
  co_return response::text(200, "ok");
}

class corpus : public ::testing::Test {
 protected:
  static fs::path root() { return fs::path(PENSTOCK_SOURCE_DIR) / ".." / "shared" / "corpora" / "http"; }

  void run_folder(const std::string& folder, verdict usual) {
    if (!fs::exists(root() / folder))
      GTEST_SKIP() << "the corpus ../shared/corpora/http is not here: NOTHING WAS CHECKED";
    log::set_level(log::level::off);
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(root() / folder)) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    net::run(run_files(files, folder, usual));
    log::set_level(log::level::info);
  }

  task<> run_files(const std::vector<fs::path>& files, const std::string& folder, verdict usual) {
    router routes;
    bool broke_off = false;
    routes.otherwise([&](request& r) { return answer_anything(r, broke_off); });
    server s(std::move(routes));
    std::unique_ptr<net::listener> at = net::listen(net::endpoint::parse("127.0.0.1:0"));
    net::endpoint where = at->local_endpoint();
    co_await with_task_group([&](task_group& group) -> task<> {
      group.start(s.serve(*at));
      for (const fs::path& file : files) {
        std::string name = folder + "/" + file.stem().string();
        auto exception = exceptions().find(name);
        verdict wanted = exception == exceptions().end() ? usual : exception->second.chosen;
        std::string request = unescape(file);
        std::vector<int> whole;
        for (std::size_t cut = request.size(); cut > 0; --cut) {
          broke_off = false;
          std::vector<int> seen = co_await send_cut(where, request, cut);
          if (cut == request.size()) whole = seen;
          verdict found = judge(seen, broke_off);
          std::string listed;
          for (int a : seen) listed += " " + std::to_string(a);
          EXPECT_EQ(static_cast<int>(found), static_cast<int>(wanted))
              << name << " cut at " << cut << ", answers:" << listed
              << (exception == exceptions().end() ? "" : std::string("; ") + exception->second.why);
          EXPECT_EQ(seen, whole) << name << " cut at " << cut;
          if (found != wanted) break;
        }
      }
      s.stop();
    });
  }
};

TEST_F(corpus, valid_requests_are_accepted) { run_folder("valid", verdict::accept); }
TEST_F(corpus, invalid_requests_are_refused) { run_folder("invalid", verdict::refuse); }

}  // namespace
}  // namespace penstock::http
