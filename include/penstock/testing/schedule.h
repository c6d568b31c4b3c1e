#pragma once

// In which order a simulation runs the tasks that are ready. `fifo` reads best in a log; `random` and `pct` find races,
// each seed another. PCT (probabilistic concurrency testing, Burckhardt et al., 2010) gives each task a priority and
// changes it a few times: it finds a bug that needs `depth` steps in one order with a known probability.
//
//   simulation sim({.seed = 7, .order = schedule::parse("pct:3")});

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::testing {

/// An order of running, as text "fifo", "random", "pct:3", or "fifo+12:1,40:2".
struct schedule {
  /// How the next of several ready tasks is chosen.
  enum class order {
    fifo,    ///< First come, first served.
    random,  ///< Any, each as likely as the others.
    pct,     ///< That of the highest priority.
  };
  /// At one choice, the first being number 0, not the first of the ready tasks runs but the one at `place`. A choice is
  /// each time when more than one is ready.
  struct change {
    std::uint64_t choice;  ///< Which choice.
    std::uint32_t place;   ///< How many earlier ones are passed over.
    bool operator==(const change&) const = default;
  };

  order kind = order::fifo;
  unsigned depth = 3;                ///< Of `pct`: one more than how often a priority changes. At least 1.
  std::vector<change> changes = {};  ///< Of `fifo`: where it is departed from, by ascending choice.

  /// Reads the text form. Throws `testing_errc::bad_setting` for another text.
  static schedule parse(std::string_view text);
  /// `random` or `pct` with a depth of 1 to 5, decided by the seed.
  static schedule for_seed(std::uint64_t seed);
  /// The text form.
  std::string text() const;
};

/// Of the ready tasks a `random` or `pct` schedule looks at this many, the first that came.
inline constexpr std::size_t most_choices = 256;

}  // namespace penstock::testing
