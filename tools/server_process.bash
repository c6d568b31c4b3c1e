# The process and the folder of a database server, for tools/test-server and tools/galera to source. AT is the server's folder: its
# data is in AT/data, its log in AT/log, its process's number in AT/pid.
#
# Invariant: nothing is ever sent to a process that AT/pid merely names; it must have AT/data among its arguments too,
# since the system gives the number of a process that has ended to others.

# require_way_to AT ACCOUNT AS_ACCOUNT…: servers that root starts run as another account.
require_way_to() {
  local at=$1 account=$2
  shift 2
  "$@" test -x "$at" ||
    fail "the server runs as the account $account, which can't get to $at: open the folders above it (chmod a+x), or take another"
}

# keep_running AT COMMAND… starts the server and keeps the number of its parent in $keeper. The parent is a shell that
# waits for the server, so that it does not stay behind as a zombie where nobody else waits for it, as in many
# containers.
keeper=
keep_running() {
  local at=$1
  shift
  rm -f "$at/pid"
  (
    "$@" &
    printf '%s\n' $! >"$at/pid"
    wait $! || true
  ) >>"$at/log" 2>&1 </dev/null &
  keeper=$!
  disown
}

# True from the moment that the process is the server's own program until it begins to end.
runs_in() {
  local at=$1 pid word words=()
  [[ -s $at/pid ]] || return 1
  pid=$(<"$at/pid")
  [[ $pid =~ ^[0-9]+$ ]] || return 1
  # Empty for a zombie.
  { mapfile -d '' -t words <"/proc/$pid/cmdline"; } 2>/dev/null || return 1
  for word in "${words[@]}"; do
    [[ $word != "$at/data" && $word != "--datadir=$at/data" ]] || return 0
  done
  return 1
}

# What was just started may not be the server's program yet.
is_starting() { kill -0 "$keeper" 2>/dev/null; }

# Once its files and ports are free. A zombie counts as gone when no thread of it is left.
is_gone() {
  local pid=$1 stat threads
  { read -r stat <"/proc/$pid/stat"; } 2>/dev/null || return 0
  stat=${stat##*) }  # behind the program's name, which may have anything in it
  threads=("/proc/$pid/task/"*)
  [[ ${stat%% *} == [ZX] && ${#threads[@]} == 1 ]]
}

# wait_until_gone PID SECONDS. In a trap, a `return` without a number would give the status from before the trap.
wait_until_gone() {
  local tries
  for ((tries = 0; tries < $2 * 20; ++tries)); do
    if is_gone "$1"; then return 0; fi
    sleep 0.05
  done
  return 1
}

# end_server AT SIGNAL SECONDS: fine when it has ended already; killed when it takes longer.
end_server() {
  local at=$1 signal=$2 seconds=$3 pid
  if runs_in "$at"; then
    pid=$(<"$at/pid")
    kill -"$signal" "$pid" 2>/dev/null || true
    if ! wait_until_gone "$pid" "$seconds"; then
      say "the server in $at did not stop within $seconds s; killing it"
      kill_processes "$at" || return 1
    fi
  fi
  rm -f "$at/pid"
}

# kill_processes AT: false when it did not end. PostgreSQL's sessions are processes of their own, which would go on for
# a moment.
kill_processes() {
  local at=$1 pid children
  pid=$(<"$at/pid")
  children=$(pgrep -P "$pid" || true)
  # shellcheck disable=SC2086
  kill -KILL "$pid" $children 2>/dev/null || true
  wait_until_gone "$pid" 10 || { say "process $pid did not end within 10 s of being killed"; return 1; }
  rm -f "$at/pid"
}
