#!/usr/bin/env bash
# Builds userpager and runs its samples.
#
#   samples/run.sh [ARGUMENT...]
#
# First word_index, twice: on managed memory with a limit of a quarter of what its index needs, and
# on ordinary memory. Both must come to the same digest. Arguments (directories, flags) go to both.
# Then the small samples.
#
# Works from any directory. Installs missing Debian packages when run by root; needs no network when
# they are there. Builds under build/, or under $USERPAGER_BUILD_DIR.
#
# Returns 0 if all went well, 1 if a sample failed or the digests differ, 2 if it could not begin.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/.ci/setup.sh"
directory=$build_root/samples

# run_index NAME ARGUMENT...: leaves what it printed in NAME.txt, what the kernel counted in
# NAME.measured.
run_index() {
  local name=$1 status=0
  shift
  "$directory/samples/measure" "$directory/$name.measured" "$directory/samples/word_index" "$@" \
    > "$directory/$name.txt" || status=$?
  cat "$directory/$name.txt"
  [ "$status" -eq 0 ] || die "word_index failed (status $status)"
}

digest_of() { sed -n 's/^digest: //p' "$directory/$1.txt"; }
measured() { sed -n "s/^$2=//p" "$directory/$1.measured"; }

show_measured() {
  printf '    %-16s %6d MiB at most, %6.1f seconds\n' "$2" \
    $(($(measured "$1" peak_kib) / 1024)) "$(measured "$1" seconds)"
}

case ${1:-} in
  -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
esac

need_packages g++ cmake ninja-build liburing-dev libabsl-dev
mkdir -p "$build_root"
say "Building the library and its samples in $directory."
configure "$directory" release -DUSERPAGER_BUILD_{TESTS,BENCH,PRELOAD}=OFF ||
  die "CMake failed" 2
build "$directory" || die "the build failed" 2

say "Indexing every word on managed memory, with a quarter of the memory that the index needs."
run_index managed "$@"
say "Indexing the same on ordinary memory."
run_index plain --plain "$@"

say "What the kernel counted:"
show_measured managed "managed memory:"
show_measured plain "ordinary memory:"
managed=$(digest_of managed)
plain=$(digest_of plain)
[ -n "$managed" ] || die "word_index printed no digest"
[ "$managed" = "$plain" ] || die "the digests differ: $managed managed, $plain on ordinary memory"
say "The digests agree: $managed."

for sample in reserve_commit containers gc_heap; do
  say "Running the sample $sample."
  "$directory/samples/$sample" || die "$sample failed (status $?)"
done
say "All samples ran as they should."
