#include "penstock/testing/database_faults.h"

#include "drawn_faults.h"
#include "penstock/testing/simulation.h"

#include <array>
#include <utility>

namespace penstock::testing {
namespace {

// Kinds with a chance, and those that happen every so often.
constexpr std::array<std::pair<const char*, double database_faults::*>, 12> chances{{
    {"database.lose", &database_faults::lose},
    {"database.lose_answer", &database_faults::lose_answer},
    {"database.lose_commit", &database_faults::lose_commit},
    {"database.late_commit", &database_faults::late_commit},
    {"database.deadlock", &database_faults::deadlock},
    {"database.lock_timeout", &database_faults::lock_timeout},
    {"database.serialization", &database_faults::serialization},
    {"database.full", &database_faults::full},
    {"database.refuse_row", &database_faults::refuse_row},
    {"database.never_answer", &database_faults::never_answer},
    {"database.slow", &database_faults::slow},
    {"database.refuse_connect", &database_faults::refuse_connect},
}};
constexpr std::array<std::pair<const char*, duration database_faults::*>, 2> periods{{
    {"database.restart", &database_faults::restart_every},
    {"database.read_only", &database_faults::read_only_every},
}};

}  // namespace

database_faults database_faults::swarm(random_stream& from) {
  using std::chrono::milliseconds;
  using std::chrono::seconds;
  drawn_faults draw(from);
  database_faults f;
  f.lose = draw.chance(0.001, 0.03);
  f.lose_answer = draw.chance(0.001, 0.03);
  f.lose_commit = draw.chance(0.01, 0.2);
  f.late_commit = draw.chance(0.01, 0.2);
  f.deadlock = draw.chance(0.005, 0.1);
  f.lock_timeout = draw.chance(0.005, 0.1);
  f.serialization = draw.chance(0.005, 0.1);
  f.full = draw.chance(0.001, 0.02);
  f.refuse_row = draw.chance(0.001, 0.05);
  f.never_answer = draw.chance(0.0005, 0.005);
  f.slow = draw.chance(0.01, 0.1);
  f.slow_for = from.between(milliseconds(20), seconds(3));
  f.refuse_connect = draw.chance(0.05, 0.5);
  f.restart_every = draw.span(milliseconds(500), seconds(10));
  f.restart_for = from.between({}, seconds(3));
  f.read_only_every = draw.span(milliseconds(500), seconds(10));
  f.read_only_for = from.between(milliseconds(100), seconds(3));
  return f;
}

database_faults database_faults::enabled() const {
  simulation& run = simulation::current();
  database_faults f = *this;
  for (auto [kind, chance] : chances)
    if (!run.faults_enabled(kind)) f.*chance = 0;
  for (auto [kind, every] : periods)
    if (!run.faults_enabled(kind)) f.*every = {};
  return f;
}

std::string database_faults::to_string() const {
  constexpr std::size_t prefix = std::char_traits<char>::length("database.");
  fault_list list;
  for (auto [kind, chance] : chances) list.add(kind + prefix, this->*chance > 0);
  for (auto [kind, every] : periods) list.add(kind + prefix, this->*every > duration::zero());
  return list.text();
}

}  // namespace penstock::testing
