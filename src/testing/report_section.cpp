#include "penstock/testing/report_section.h"

#include "penstock/testing/simulation.h"

#include <cstddef>
#include <utility>

namespace penstock::testing {
namespace {

constexpr std::size_t most_last_words = 8;

}  // namespace

std::string report_sections::text() const {
  std::string all;
  for (const std::string& gone : last_words_) all += gone;
  for (const report_section* section : live_) all += section->text();
  return all;
}

report_section::report_section(std::string title, std::function<std::string()> describe)
    : title_(std::move(title)), describe_(std::move(describe)) {
  simulation* running = simulation::current_or_null();
  if (running == nullptr) return;
  of_ = running->sections();
  running->sections()->live_.push_back(this);
}

report_section::~report_section() {
  std::shared_ptr<report_sections> report = of_.lock();
  if (!report) return;
  report->last_words_.push_back(text());
  if (report->last_words_.size() > most_last_words) report->last_words_.pop_front();
  std::erase(report->live_, this);
}

std::string report_section::text() const { return title_ + ":\n" + describe_(); }

}  // namespace penstock::testing
