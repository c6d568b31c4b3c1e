#pragma once

// "Did you mean …?": the known name that a mistyped one is closest to.

#include <span>
#include <string>
#include <string_view>

namespace penstock {

/// The candidate with the fewest typing errors (a letter missing, added, replaced, or two swapped) from `word`, in
/// any case; the first of equals. Empty when none is near enough to be meant: more than a third of the longer name
/// would have to change. The result refers to the candidate.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

/// "; did you mean 'NAME'?" for the nearest candidate, or nothing: to be put at the end of a message.
std::string suggestion(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace penstock
