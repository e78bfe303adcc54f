#!/usr/bin/env bash
# Runs the benchmarks, each beside its rivals and floors in the same run.
#
#   bench/run.sh [--out=DIRECTORY] [ARGUMENT...]
#
# Other arguments are those of out_of_core_bench. Where they choose
# backends or workloads, nothing else is run; without them fault_latency_bench, vad_tree_bench and
# replacement_sim are, too. The results are written to the directory (default: results/ of the build
# directory): results.md, results.json and charts as SVG.
#
# Makes what the kernel's rivals need, where it may: a memory cgroup below this process's own, and a
# swap file in the benchmark's directory. Both are removed at the end, however that comes. While it
# runs, the machine has that swap. What cannot be made is said, and its rivals are left out.
#
# Works from any directory. Installs missing Debian packages when run by root; needs no network when
# they are there. Builds under build/, or under $USERPAGER_BUILD_DIR.
#
# Returns 0 if all that could be measured was, 1 if something failed, 2 if it could not begin.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/.ci/setup.sh"
directory=$build_root/release

cgroup=
swap_file=
bench=

# The value of --NAME=VALUE among the arguments, else the default.
value_of() {
  local name=$1 value=$2 argument
  shift 2
  for argument in "$@"; do
    case $argument in "--$name="*) value=${argument#*=} ;; esac
  done
  printf '%s\n' "$value"
}

# A directory for a memory cgroup below this process's own, so that limits from above still hold; in
# version 2 a cgroup with processes cannot have such children, and its parent is asked.
cgroup_parents() {
  local mounted own
  mounted=$(awk '$3 == "cgroup" && $4 ~ /(^|,)memory(,|$)/ { print $2; exit }' /proc/mounts)
  if [ -n "$mounted" ]; then
    own=$(awk -F: '$2 ~ /(^|,)memory(,|$)/ { print $3; exit }' /proc/self/cgroup)
    printf '%s\n' "$mounted$own"
    return
  fi
  mounted=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
  own=$(awk -F: '$1 == 0 { print $3; exit }' /proc/self/cgroup)
  while [ -n "$mounted" ]; do
    printf '%s\n' "$mounted${own%/}"
    case $own in '' | /) break ;; esac
    own=${own%/*}
  done
}

make_cgroup() {
  local parent made
  while read -r parent; do
    made=$parent/userpager_bench.$$
    if [ -e "$parent/cgroup.controllers" ]; then
      { echo +memory > "$parent/cgroup.subtree_control"; } 2> /dev/null || continue
    fi
    mkdir "$made" 2> /dev/null || continue
    cgroup=$made
    if [ -w "$made/memory.max" ] || [ -w "$made/memory.limit_in_bytes" ]; then return; fi
    remove_cgroup
  done < <(cgroup_parents)
  say "No memory cgroup can be made here: the kernel's rivals are left out."
}

remove_cgroup() {
  if [ -z "$cgroup" ]; then return; fi
  local i
  # A killed process leaves its cgroup a moment later.
  for i in 1 2 3 4 5 6 7 8 9 10; do
    if rmdir "$cgroup" 2> /dev/null; then
      cgroup=
      return
    fi
    sleep 0.5
  done
  say "The cgroup $cgroup could not be removed after $i attempts."
  cgroup=
}

# make_swap DIRECTORY BYTES
make_swap() {
  local made=$1/userpager_bench_swap.$$
  swap_file=$made
  if (umask 077 && fallocate -l "$2" "$made" && mkswap "$made" && swapon "$made") \
    > /dev/null 2>&1; then
    return
  fi
  remove_swap
  say "No swap file can be made in $1: kernel swap is left out."
}

remove_swap() {
  if [ -z "$swap_file" ]; then return; fi
  swapoff "$swap_file" 2> /dev/null || true
  rm -f "$swap_file"
  swap_file=
}

clean_up() {
  if [ -n "$bench" ]; then
    kill "$bench" 2> /dev/null || true
    wait "$bench" 2> /dev/null || true
  fi
  remove_swap
  remove_cgroup
}

# In the background, so that a signal is answered at once.
run_bench() {
  local name=$1 status=0
  shift
  "$directory/bench/$name" "$@" &
  bench=$!
  wait "$bench" || status=$?
  bench=
  return "$status"
}

case ${1:-} in
  -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; exit 0 ;;
esac

need_packages g++ cmake ninja-build liburing-dev libabsl-dev libbenchmark-dev libjemalloc-dev \
  util-linux
out=$build_root/results
everything=yes
arguments=()
for argument in "$@"; do
  case $argument in
    --out=*) out=${argument#*=} ;;
    --backend=* | --workload=*) everything=no; arguments+=("$argument") ;;
    *) arguments+=("$argument") ;;
  esac
done
mkdir -p "$build_root" "$out"
out=$(realpath "$out")
say "Building the benchmarks in $directory."
configure "$directory" release || die "CMake failed" 2
cmake --build "$directory" --target out_of_core_bench fault_latency_bench vad_tree_bench \
  replacement_sim userpager_preload -- --quiet || die "the build failed" 2

trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
disk=$(value_of directory /var/tmp "${arguments[@]}")
data=$(value_of data 1G "${arguments[@]}")
make_cgroup
# The data, and room for what is in memory and in the swap file at once.
make_swap "$disk" $(($(numfmt --from=iec "$data") * 5 / 4))

status=0
say "Data larger than memory."
run_bench out_of_core_bench --preload="$directory/libuserpager_preload.so" "${arguments[@]}" \
  "--cgroup=$cgroup" --svg="$out" \
  --json="$out/out_of_core.json" --markdown="$out/out_of_core.md" || status=1
clean_up
others=()
if [ "$everything" = yes ]; then others=(fault_latency_bench vad_tree_bench); fi
for name in "${others[@]}"; do
  say "Running $name."
  options=()
  if [ "$name" = fault_latency_bench ]; then options=("--directory=$disk"); fi
  run_bench "$name" "${options[@]}" --benchmark_out="$out/$name.json" --benchmark_out_format=json \
    > "$out/$name.txt" || status=1
  cat "$out/$name.txt"
done

if [ "$everything" = yes ]; then
  say "Running replacement_sim."
  run_bench replacement_sim --markdown="$out/replacement.md" --json="$out/replacement.json" \
    --svg="$out/replacement.svg" || status=1
fi

{
  printf '# Figures\n\n## Data larger than memory\n\n'
  cat "$out/out_of_core.md"
  for chart in throughput accesses; do
    printf '\n![%s](out_of_core_%s.svg)\n' "$chart" "$chart"
  done
  for name in "${others[@]}"; do
    printf '\n## %s\n\n```\n' "$name"
    cat "$out/$name.txt"
    printf '```\n'
  done
  if [ "$everything" = yes ]; then
    printf '\n## replacement_sim\n\n'
    cat "$out/replacement.md"
    printf '\n![misses](replacement.svg)\n'
  fi
} > "$out/results.md"
{
  printf '{"out_of_core_bench":\n'
  cat "$out/out_of_core.json"
  for name in "${others[@]}"; do
    printf ',"%s":\n' "$name"
    cat "$out/$name.json"
  done
  if [ "$everything" = yes ]; then
    printf ',"replacement_sim":\n'
    cat "$out/replacement.json"
  fi
  printf '}\n'
} > "$out/results.json"
say "The results are in $out: results.md, results.json and charts."
exit "$status"
