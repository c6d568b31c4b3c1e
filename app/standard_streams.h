#pragma once

namespace penstock::app {

/// Gives each standard stream that is closed a place, so that what is opened later, as a database's file, doesn't get
/// its number and with it what is meant for the stream. Reading and writing them fails as before, save that what goes
/// to standard error is gone. Call it before anything else is opened.
void hold_closed_streams() noexcept;

/// Whether standard input is there to be read.
bool standard_input_is_open() noexcept;

}  // namespace penstock::app
