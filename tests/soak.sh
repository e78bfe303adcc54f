#!/usr/bin/env bash
# Tries to break every promise of the README, for as long as one says, and prints how much of each
# was tried: a table of promises, in Markdown.
#
#   tests/soak.sh                  for an hour
#   tests/soak.sh --minutes=600    for so long; a round that has begun is ended
#
# Takes the test programs of the release build, which it builds if they are missing. Each round runs
# all of them once with new seeds. What fails is kept, with its output, in a directory that is named
# in the end. By root nothing is left out; for anyone else the lines say what was skipped.
#
# Returns 0 if nothing failed, 1 if something did, 2 if it could not begin.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/.ci/setup.sh"

usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

minutes=60
for argument in "$@"; do
  case $argument in
    --minutes=*) minutes=${argument#*=} ;;
    -h | --help) usage; exit 0 ;;
    *) die "unknown argument $argument; there is --minutes=N" 2 ;;
  esac
done
case $minutes in '' | *[!0-9]*) die "--minutes=$minutes is not a number of minutes" 2 ;; esac

directory=$build_root/release
tests=$directory/tests
if [ ! -x "$tests/stress_random_moments_test" ]; then
  say "Building for release."
  configure "$directory" release && build "$directory" || die "the build failed" 2
fi

logs=$(mktemp -d "${TMPDIR:-/tmp}/userpager-soak.XXXXXX")
tally=$logs/tally  # a line of each run: key, seconds, passed, failed, skipped, counts
: > "$tally"
failures=0

# The promises, in the order of the table: a key, what is promised, how it is tried.
promises=()
promise() { promises+=("$1|$2|$3"); }
promise simulation \
  "Whatever the order of events and whatever fails, no byte is wrong and nobody waits for ever" \
  "the real shard in a simulated world, by seed: failed, short, late, torn, lost, misdirected \
and corrupted transfers, refusals of the kernel"
promise model "Every call does what its documentation says, and the bytes are right" \
  "random calls from several threads against a plain model, with each set of options"
promise protocol "Stale messages, races, pins and borders lose nothing" \
  "each danger made to happen on the real kernel"
promise disk \
  "A page file that fails loses no page by a write, and by a read none but that one" \
  "a disk that really fails, one that is full, bits that flip while it is in use"
promise pressure "The limit holds and every byte is right with memory far too small" \
  "many threads, many times the memory, the shipped library"
promise moments \
  "Fork, exec, exit, abort, SIGKILL, SIGSTOP, cancellation, handlers and limits at any moment" \
  "processes that meet all of these while most of their memory is out"
promise programs "Unmodified programs keep their memory, also through fork" \
  "the preload library: mappings, system calls, storms of forks"
promise kernels "Kernels without the newer calls lose nothing but speed" \
  "the same without each feature and without all"
promise secrets "What is in the page file and in core files is what the options say" \
  "encryption against known answers, the file read back, the flags of mappings"

# Adds up the numbers of lines such as "[  PASSED  ] 12 tests.": count WORD LOG.
count() {
  sed -n "s/^\[  $1 *\] \([0-9]*\) tests\?.*/\1/p" "$2" | awk '{ n += $1 } END { print n + 0 }'
}

# attempt KEY NAME [VARIABLE=VALUE...] PROGRAM [ARGUMENT...]: runs one program and notes what it
# did.
attempt() {
  local key=$1 name=$2 begin log status=0 failed counts
  shift 2
  log=$logs/$(date +%s%N).$name.log
  begin=$(date +%s)
  timeout -k 10 1800 env "$@" > "$log" 2>&1 || status=$?
  failed=$(count FAILED "$log")
  if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then failed=1; fi
  counts=$(sed -n 's/^COUNTED //p' "$log" | tr '\n' ' ')
  echo "$key $(($(date +%s) - begin)) $(count PASSED "$log") $failed $(count SKIPPED "$log")" \
    "$counts" >> "$tally"
  if [ "$status" -ne 0 ]; then
    failures=$((failures + 1))
    say "FAILED ($status): $name; see $log"
  else
    sed -n '/: Skipped$/ { n; s/^/    skipped: /p }' "$log" | sort -u
    rm -f "$log"
  fi
}

# run KEY PROGRAM [ARGUMENT...]: with the usual options.
run() {
  local key=$1 program=$2
  shift 2
  attempt "$key" "$program" "$tests/$program" "$@"
}

round() {
  run simulation simulation_random_runs_test --seeds="$1"
  run simulation simulation_canary_test
  run protocol pager_protocol_rules_test
  run protocol pager_races_test
  run protocol pager_under_way_test
  run model pager_random_operations_test
  run model api_bad_input_test --calls=100000
  local options
  for options in memory:1M memory:1M,move:off memory:1M,faults:inline memory:1M,shards:3 \
    memory:1M,io:threads memory:1M,policy:clock memory:1M,encrypt:aes-xts; do
    attempt model "random_calls" "USERPAGER_TEST_OPTIONS=$options,page_file_max:64M" \
      "$tests/api_random_calls_test"
  done
  run disk pager_failing_disk_test
  run disk pager_page_file_failure_test
  run disk api_full_disk_test
  run pressure stress_many_threads_test
  run pressure stress_out_of_core_test
  run pressure stress_decommit_under_write_test
  run pressure pager_out_of_core_test
  attempt moments random_moments USERPAGER_STRESS_ROUNDS=14 "$tests/stress_random_moments_test"
  if [ -x "$tests/programs_managed_process_test" ]; then
    run programs programs_managed_process_test
    run programs preload_linux_memory_test
  fi
  local feature
  for feature in move poison guard discard_vector thread_id exact_address wide_protect all; do
    attempt kernels "without_$feature" \
      "USERPAGER_TEST_OPTIONS=memory:1M,page_file_max:64M,without:$feature" \
      "$tests/api_random_calls_test"
  done
  # The roads without UFFDIO_MOVE are in the program itself.
  local others=poison+guard+discard_vector+thread_id+exact_address+wide_protect
  attempt kernels operations_without_all "USERPAGER_TEST_OPTIONS=without:$others" \
    "$tests/pager_random_operations_test"
  run secrets page_file_slot_cipher_test
  run secrets pager_secrets_test
}

table() {
  local promise key what how
  printf '| promise | how it is tried | how much | minutes | failed |\n|---|---|---|---|---|\n'
  for promise in "${promises[@]}"; do
    IFS='|' read -r key what how <<< "$promise"
    awk -v key="$key" -v what="$what" -v how="$how" '
      $1 == key {
        seconds += $2; passed += $3; failed += $4; skipped += $5
        for (i = 6; i <= NF; ++i) {
          split($i, pair, "=")
          if (!(pair[1] in sum)) names[++known] = pair[1]
          sum[pair[1]] += pair[2]
        }
      }
      function shown(n,   text) {
        if (n >= 1e10) return sprintf("%.1f thousand million", n / 1e9)
        if (n >= 1e7) return sprintf("%.1f million", n / 1e6)
        text = sprintf("%d", n)
        while (match(text, /[0-9][0-9][0-9][0-9](,|$)/)) {
          text = substr(text, 1, RSTART) "," substr(text, RSTART + 1)
        }
        return text
      }
      END {
        much = shown(passed) (passed == 1 ? " test case" : " test cases")
        for (i = 1; i <= known; ++i) {
          name = names[i]
          gsub("_", " ", name)
          much = much ", " shown(sum[names[i]]) " " name
        }
        if (skipped > 0) much = much ", " skipped " skipped"
        printf "| %s | %s | %s | %.1f | %d |\n", what, how, much, seconds / 60, failed
      }' "$tally"
  done
}

end=$(($(date +%s) + minutes * 60))
rounds=0
say "Soaking for $minutes minutes, in rounds."
while [ "$rounds" -eq 0 ] || [ "$(date +%s)" -lt "$end" ]; do
  round 3000
  rounds=$((rounds + 1))
  say "Round $rounds is done; $failures program(s) failed so far."
done

echo
table
echo
if [ "$failures" -ne 0 ]; then
  say "$failures run(s) of programs failed; their output is in $logs."
  exit 1
fi
rm -rf "$logs"
say "$rounds round(s): nothing failed, nothing was lost."
