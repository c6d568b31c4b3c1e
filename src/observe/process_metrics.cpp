#include "observe/metric_registry.h"
#include "penstock/observe/metrics.h"

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include <dirent.h>
#include <prometheus/metric_family.h>
#include <sys/resource.h>
#include <unistd.h>

namespace penstock::metrics {
namespace {

using families = std::vector<prometheus::MetricFamily>;

void add(families& out, const char* name, const char* help, prometheus::MetricType type, double value) {
  prometheus::ClientMetric metric;
  (type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  prometheus::MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  family.metric.push_back(std::move(metric));
  out.push_back(std::move(family));
}

// The fields of /proc/self/stat from the third on (proc(5) counts from 1); empty when it can't be read.
std::vector<double> read_stat() {
  std::ifstream file("/proc/self/stat");
  std::string line;
  std::getline(file, line);
  std::vector<double> fields;
  // The second field is the program's name in brackets, which may hold anything.
  std::size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return fields;
  std::istringstream rest(line.substr(name_end + 1));
  for (std::string field; rest >> field;) fields.push_back(std::strtod(field.c_str(), nullptr));
  return fields;
}

// When the machine started, in seconds since 1970; 0 when unknown.
double boot_time() {
  std::ifstream file("/proc/stat");
  for (std::string key; file >> key; file.ignore(1 << 16, '\n')) {
    double value = 0;
    if (key == "btime" && file >> value) return value;
  }
  return 0;
}

double most_descriptors() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  return static_cast<double>(limit.rlim_cur);
}

// None when unknown. Counting takes a descriptor itself: where there is none left, all that there may be are open.
std::optional<double> open_descriptors() {
  DIR* directory = ::opendir("/proc/self/fd");
  if (directory == nullptr && errno == EMFILE) return most_descriptors();
  if (directory == nullptr) return std::nullopt;
  double count = -1;  // the directory's own
  while (const dirent* entry = ::readdir(directory))
    if (entry->d_name[0] != '.') ++count;
  ::closedir(directory);
  return count;
}

void collect(families& out) {
  constexpr std::size_t first = 3;  // the number of the first field we have
  constexpr auto counter = prometheus::MetricType::Counter;
  constexpr auto gauge = prometheus::MetricType::Gauge;
  std::vector<double> stat = read_stat();
  if (stat.size() > 24 - first) {
    static const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
    static const auto page = static_cast<double>(::sysconf(_SC_PAGESIZE));
    static const double boot = boot_time();
    add(out, "process_cpu_seconds_total", "User and system CPU time spent.", counter,
        (stat[14 - first] + stat[15 - first]) / ticks);
    add(out, "process_threads", "Threads of the process.", gauge, stat[20 - first]);
    add(out, "process_start_time_seconds", "When the process started, since 1970.", gauge,
        boot + stat[22 - first] / ticks);
    add(out, "process_virtual_memory_bytes", "Address space in use.", gauge, stat[23 - first]);
    add(out, "process_resident_memory_bytes", "Memory in use.", gauge, stat[24 - first] * page);
  }
  if (std::optional<double> open = open_descriptors())
    add(out, "process_open_fds", "Open file descriptors.", gauge, *open);
  add(out, "process_max_fds", "Open file descriptors the process may have.", gauge, most_descriptors());
}

}  // namespace

void collect_process_metrics(registry& into) {
  std::lock_guard lock(into.implementation_->hooks_mutex);
  into.implementation_->collectors.emplace_back(collect);
}

}  // namespace penstock::metrics
