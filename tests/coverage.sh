#!/usr/bin/env bash
# Reports which lines and branches of the fault path the tests reach: the rooms that a page fault
# goes through (platform, address_space, frames, policy, page_file, pager), file by file, and every
# line that no test reaches, so that each can be explained (tests/coverage_gaps.txt).
#
#   tests/coverage.sh            all tests of these rooms
#   tests/coverage.sh --lines    shows the lines that were not reached as well
#
# Builds with gcc's --coverage under build/coverage and reads the counts with gcov; needs nothing
# else. Returns 0 if the tests passed and every gap is explained, 1 if not, 2 if it could not begin.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/.ci/setup.sh"

usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

show=no
for argument in "$@"; do
  case $argument in
    --lines) show=yes ;;
    -h | --help) usage; exit 0 ;;
    *) die "unknown argument $argument; there is --lines" 2 ;;
  esac
done
need_packages g++ cmake ninja-build python3

directory=$build_root/coverage
rooms=(platform address_space frames policy page_file pager)
say "Building with --coverage in $directory."
configure "$directory" release -DCMAKE_BUILD_TYPE=Debug -DUSERPAGER_BUILD_BENCH=OFF \
  -DUSERPAGER_BUILD_SAMPLES=OFF -DUSERPAGER_BUILD_PRELOAD=OFF \
  "-DCMAKE_CXX_FLAGS=--coverage -fprofile-update=atomic -O1" "-DCMAKE_EXE_LINKER_FLAGS=--coverage" \
  "-DCMAKE_SHARED_LINKER_FLAGS=--coverage" || die "the configuration failed" 2
targets=()
for room in "${rooms[@]}" simulation api; do
  for source in "$root/tests/$room"/*_test.cc; do
    targets+=("${room}_$(basename "$source" .cc)")
  done
done
cmake --build "$directory" -- --quiet "${targets[@]}" || die "the build failed" 2
find "$directory" -name '*.gcda' -delete

say "Running the tests."
status=0
pattern="^($(IFS='|'; echo "${rooms[*]}")|simulation|api)/"
ctest --test-dir "$directory" -R "$pattern" -j "$(nproc)" --output-on-failure \
  > "$directory/ctest.log" 2>&1 || status=1
tail -n 15 "$directory/ctest.log" | grep -E 'tests passed|Failed|\(Failed\)' || true

say "Reading the counts."
counts=$directory/gcov
rm -rf "$counts"
mkdir -p "$counts"
objects=$directory/tests/CMakeFiles/userpager_testing.dir/__/runtime
for room in "${rooms[@]}"; do
  (cd "$counts" && gcov --json-format --branch-probabilities --preserve-paths \
    "$objects/$room"/*.gcda > /dev/null 2>&1)
done
python3 "$root/tests/coverage_report.py" "$root" "$counts" "$show" || status=1
exit "$status"
