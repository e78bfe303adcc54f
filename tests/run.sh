#!/usr/bin/env bash
# Builds userpager in every way that must work and runs all tests.
#
#   tests/run.sh            release by g++, sanitizers by clang, the rest by clang
#   tests/run.sh --quick    release only
#
# Works from any directory. Installs missing Debian packages when run by root; needs no network when
# they are there. Builds under build/, or under $USERPAGER_BUILD_DIR.
#
# Returns 0 if everything passed, 1 if something failed, 2 if it could not begin.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/.ci/setup.sh"

passed=0
failed=0
failures=()

usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

note_passed() { passed=$((passed + 1)); }

note_failed() {
  failed=$((failed + 1))
  failures+=("$1")
  say "FAILED: $1"
}

# build_as PRESET DESCRIPTION: one check of its own.
build_as() {
  local directory=$build_root/$1
  say "Building $2."
  if configure "$directory" "$1" && build "$directory"; then
    note_passed
  else
    note_failed "the build $2"
    return 1
  fi
}

# Builds presets one after the other while tests run, which wait for disks and clocks as much as
# they compute. What a build prints, and how it ended, is in files beside its directory.
build_in_background() {
  local preset directory
  for preset in "$@"; do
    directory=$build_root/$preset
    rm -f "$directory".build.{log,status}
  done
  (
    renice -n 5 -p "$BASHPID" > /dev/null
    for preset in "$@"; do
      directory=$build_root/$preset
      status=0
      { configure "$directory" "$preset" && build "$directory"; } \
        > "$directory.build.log" 2>&1 || status=1
      echo "$status" > "$directory.build.status"
    done
  ) &
  builder=$!
  trap 'kill "$builder" 2> /dev/null || true' EXIT
}

# await_build PRESET DESCRIPTION: one check of its own, of a build in the background.
await_build() {
  local directory=$build_root/$1
  say "Waiting for the build $2."
  while [ ! -s "$directory.build.status" ] && kill -0 "$builder" 2> /dev/null; do sleep 0.5; done
  cat "$directory.build.log"
  if [ "$(cat "$directory.build.status" 2> /dev/null)" = 0 ]; then
    note_passed
  else
    note_failed "the build $2"
    return 1
  fi
}

# The test cases that a log of ctest shows as skipped, with their reasons.
show_skipped() {
  awk '/: Skipped$/ { getline reason }
       /^\[  SKIPPED \] .*\([0-9]+ ms\)$/ { print "    skipped: " $4 ": " reason }' "$1"
}

# run_tests PRESET DESCRIPTION [WRAPPER...]: runs ctest and adds its counts.
run_tests() {
  local directory=$build_root/$1 description=$2
  shift 2
  local log=$directory/ctest.log jobs status=0
  # Tests wait for disks and clocks as much as they compute.
  jobs=$(($(nproc) + 1))
  if [ "$jobs" -gt 4 ]; then jobs=4; fi
  say "Running the tests built $description."
  "$@" ctest --test-dir "$directory" --output-on-failure --no-tests=error -j "$jobs" 2>&1 |
    tee "$log" || status=1
  show_skipped "$directory/Testing/Temporary/LastTest.log"
  local counts
  counts=$(sed -n 's/.*tests passed, \([0-9]*\) tests\? failed out of \([0-9]*\).*/\1 \2/p' "$log")
  if [ -z "$counts" ]; then
    note_failed "the tests built $description: ctest gave no result"
    return
  fi
  local bad=${counts% *} all=${counts#* } name
  passed=$((passed + all - bad))
  failed=$((failed + bad))
  while read -r name; do
    failures+=("$name, built $description")
  done < <(sed -n '/^The following tests FAILED:/,$ s/^[[:space:]]*[0-9]* - //p' "$log")
  if [ "$status" -ne 0 ] && [ "$bad" -eq 0 ]; then note_failed "ctest $description"; fi
}

# Tests of the release build once more, side by side, on the preload library of the build by clang,
# which stops by SIGILL where it does what C++ leaves undefined. A sanitizer's own library cannot be
# in there.
run_trapping_tests() {
  local log=$build_root/clang/trapping test
  local -A running=()
  say "Running programs on the preload library that traps undefined behaviour."
  for test in full_memory fork_edges system_calls; do
    USERPAGER_TEST_PRELOAD=$build_root/clang/libuserpager_preload.so \
      "$build_root/release/tests/programs_${test}_test" > "$log.$test.log" 2>&1 &
    running[$test]=$!
  done
  for test in "${!running[@]}"; do
    if wait "${running[$test]}"; then
      note_passed
    else
      cat "$log.$test.log"
      note_failed "programs/${test}_test on the trapping preload library"
    fi
  done
}

quick=no
for argument in "$@"; do
  case $argument in
    --quick) quick=yes ;;
    -h | --help) usage; exit 0 ;;
    *) die "unknown argument $argument; there is --quick" 2 ;;
  esac
done

packages=(g++ cmake ninja-build pkg-config binutils liburing-dev libabsl-dev libgtest-dev
  libgmock-dev libbenchmark-dev libjemalloc-dev systemtap-sdt-dev chromium python3 sqlite3 git
  redis-server openjdk-17-jdk-headless nodejs stress-ng memtester
  dpkg-dev lintian man-db bash-completion nbdkit libnbd-bin e2fsprogs libssl3)
if [ "$quick" = no ]; then packages+=(clang libclang-rt-14-dev); fi
need_packages "${packages[@]}"
mkdir -p "$build_root"
say "Building in $build_root."

# The sanitizers want their shadow memory at fixed addresses, which randomisation may occupy.
fixed_addresses=()
if setarch --addr-no-randomize true 2> /dev/null; then
  fixed_addresses=(setarch --addr-no-randomize)
fi

# Each is built, then tested. clang, with warnings and its thread-safety analysis as errors, builds
# the tests with sanitizers and everything else without.
release="for release, with g++"
asan="with AddressSanitizer and UndefinedBehaviorSanitizer, by clang"
tsan="with ThreadSanitizer, by clang"
release_built=yes
build_as release "$release" || release_built=no
if [ "$quick" = no ]; then build_in_background asan-ubsan tsan clang; fi
if [ "$release_built" = yes ]; then run_tests release "$release"; fi
if [ "$quick" = no ]; then
  if await_build asan-ubsan "$asan"; then run_tests asan-ubsan "$asan" "${fixed_addresses[@]}"; fi
  if await_build tsan "$tsan"; then run_tests tsan "$tsan" "${fixed_addresses[@]}"; fi
  if await_build clang "with clang and its thread-safety analysis" &&
    [ "$release_built" = yes ]; then
    run_trapping_tests
  fi
fi

if [ "$failed" -ne 0 ]; then
  say "These failed:"
  printf '      %s\n' "${failures[@]}"
fi
say "Builds and tests together: $passed passed, $failed failed."
[ "$failed" -eq 0 ]
