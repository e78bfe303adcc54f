#!/usr/bin/env bash
# Which lines and branches of the fault path the tests run: builds with clang's counters, runs the
# tests that reach it, and prints a table in Markdown, and behind it a list of what no test ran, by
# function and lines, with the reasons that tests/coverage_reasons.txt has.
#
#   tests/coverage.sh                     every test that reaches the fault path
#   tests/coverage.sh --tests=REGEX       of all tests, those that match (as ctest -R)
#   tests/coverage.sh --minutes=N         ends the tests after N minutes (60); what ran then counts
#
# The fault path is address_space, frames, page_file, pager, platform and policy of runtime/, with
# their headers. Branches are the true and the false side of each condition in the source, as clang
# counts them; of a template once, whatever it is made for. Counters are a mapping of a file from
# the start of each program on, which its forked children share: what ends by _exit, by a signal or
# in a thread that never ends has counted too.
#
# Not counted: what runs before a program's constructors, assembly, code that is a constant, and the
# failing side of USERPAGER_CHECK. Of the preload library, which tests of programs load, a function
# counts only if it has no mark for tests in it (USERPAGER_SYNC_POINT, USERPAGER_CALL): with one it
# is another function.
#
# Returns 0 if all tests passed, every reason fits something that did not run and, without --tests,
# all that did not run has one; 1 if not, 2 if it could not begin.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/.ci/setup.sh"

usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

rooms='address_space|api|frames|page_file|pager|platform|policy|preload|simulation'
programs='forked_children|managed_process|report'
tests="^(($rooms)/|cli/recording_test|programs/($programs)_test)"
minutes=60
asked_for=all
for argument in "$@"; do
  case $argument in
    --tests=*) tests=${argument#*=} asked_for=some ;;
    --minutes=*) minutes=${argument#*=} ;;
    -h | --help) usage; exit 0 ;;
    *) die "unknown argument $argument; there are --tests=REGEX and --minutes=N" 2 ;;
  esac
done
case $minutes in '' | *[!0-9]*) die "--minutes=$minutes is not a number of minutes" 2 ;; esac

need_packages clang llvm-14 libclang-rt-14-dev binutils python3 cmake ninja-build pkg-config \
  liburing-dev libabsl-dev libgtest-dev libgmock-dev libjemalloc-dev
mkdir -p "$build_root"
directory=$build_root/coverage
profiles=$directory/profiles
table=$root/tests/support/coverage_table.py

configure "$directory" coverage || die "cmake failed" 2
mapfile -t targets < <(python3 "$table" targets "$directory/tests/CTestTestfile.cmake" "$tests")
if [ ${#targets[@]} -eq 0 ]; then die "no test matches $tests" 2; fi
say "Building ${#targets[@]} test programs with counters, in $directory."
cmake --build "$directory" -- --quiet userpager_testing "${targets[@]}" ||
  die "the build failed" 2

rm -rf "$profiles"
mkdir -p "$profiles"
say "Running the tests, for $minutes minutes at most."
status=0
# %m: one file for all processes of a program; %c: they count in it, and not at their end.
LLVM_PROFILE_FILE="$profiles/%m%c.profraw" timeout "$((minutes * 60))" \
  ctest --test-dir "$directory" -R "$tests" -j "$(nproc)" --no-tests=error --timeout 900 \
  --output-on-failure > "$directory/ctest.log" 2>&1 || status=1
sed -n '/tests passed/,$p' "$directory/ctest.log"
if [ "$status" -ne 0 ]; then say "Not all tests passed, or time was up: $directory/ctest.log"; fi

llvm-profdata-14 merge -sparse -o "$directory/all.profdata" "$profiles"/*.profraw
# The objects and not the library: llvm-cov wants what it reads at multiples of eight bytes, which
# an archive's parts need not be at.
mapfile -t objects < <(ninja -C "$directory" -t inputs tests/libuserpager_testing.a |
  sed -n "s|^.*\.o\$|-object=$directory/&|p")
report() {
  llvm-cov-14 export "$@" -instr-profile="$directory/all.profdata" "${objects[0]#-object=}" \
    "${objects[@]:1}" 2>> "$directory/llvm-cov.log" ||
    die "llvm-cov failed: $(tail -n 1 "$directory/llvm-cov.log")"
}
: > "$directory/llvm-cov.log"
report -format=lcov > "$directory/all.lcov"
report -format=text -skip-functions > "$directory/all.json"
python3 "$table" table "$root" "$directory" "$root/tests/coverage_reasons.txt" "$asked_for" ||
  status=1
exit "$status"
