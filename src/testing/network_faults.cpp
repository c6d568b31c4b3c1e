#include "penstock/testing/network_faults.h"

#include "drawn_faults.h"
#include "penstock/testing/simulation.h"

namespace penstock::testing {

network_faults network_faults::swarm(random_stream& from) {
  drawn_faults draw(from);
  network_faults f;
  f.refuse = draw.chance(0.01, 0.2);
  f.reset = draw.chance(0.001, 0.05);
  f.silence = draw.chance(0.01, 0.1);
  f.slice = draw.chance(0.05, 1.0);
  f.jitter = draw.span(std::chrono::microseconds(100), std::chrono::milliseconds(20));
  f.partition_every = draw.span(std::chrono::milliseconds(500), std::chrono::seconds(5));
  f.partition_for = from.between(std::chrono::milliseconds(50), std::chrono::seconds(2));
  f.one_way = fraction(from);
  return f;
}

network_faults network_faults::enabled() const {
  simulation& run = simulation::current();
  network_faults f = *this;
  if (!run.faults_enabled("network.refuse")) f.refuse = 0;
  if (!run.faults_enabled("network.reset")) f.reset = 0;
  if (!run.faults_enabled("network.silence")) f.silence = 0;
  if (!run.faults_enabled("network.slice")) f.slice = 0;
  if (!run.faults_enabled("network.jitter")) f.jitter = {};
  if (!run.faults_enabled("network.partition")) f.partition_every = {};
  return f;
}

std::string network_faults::to_string() const {
  fault_list list;
  list.add("refuse", refuse > 0);
  list.add("reset", reset > 0);
  list.add("silence", silence > 0);
  list.add("slice", slice > 0);
  list.add("jitter", jitter > duration::zero());
  list.add("partition", partition_every > duration::zero());
  return list.text();
}

}  // namespace penstock::testing
