#!/usr/bin/env bash
# Runs the tests on the kernel of Debian 12 (6.1, without UFFDIO_MOVE, UFFDIO_POISON, guards and
# the rest), in qemu.
#
#   tests/old_kernel.sh                     the tests of the rooms, those of programs and of stress
#   tests/old_kernel.sh --only='^api_'      the test programs that the pattern fits
#   tests/old_kernel.sh --seconds=3000      at most so long (default 2400)
#
# Takes the programs of the release build, which it builds if they are missing. The kernel comes by
# apt-get download and is unpacked, not installed. Where that kernel boots with KVM it takes
# minutes; emulated, an hour: give it --seconds. What is nearest to the kernel comes first, for
# where time is up before all is done. Needs root only where Debian packages are missing.
#
# Returns 0 if everything passed, 1 if something failed, 2 if it could not begin.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
. "$root/.ci/setup.sh"

usage() { sed -n '2,/^set/s/^# \{0,1\}//p' "${BASH_SOURCE[0]}"; }

rooms='base|observe|platform|address_space|frames|policy|page_file|pager|api|preload|simulation'
only="^($rooms|stress)_|^programs_managed_process_test\$"
seconds=2400
for argument in "$@"; do
  case $argument in
    --only=*) only=${argument#*=} ;;
    --seconds=*) seconds=${argument#*=} ;;
    -h | --help) usage; exit 0 ;;
    *) die "unknown argument $argument; there are --only=PATTERN and --seconds=N" 2 ;;
  esac
done
case $seconds in '' | *[!0-9]*) die "--seconds=$seconds is not a number of seconds" 2 ;; esac

need_packages qemu-system-x86 busybox-static cpio e2fsprogs apt binutils nbdkit libnbd-bin

work=$(mktemp -d /var/tmp/userpager-old-kernel.XXXXXX)
qemu=
clean_up() {
  if [ -n "$qemu" ]; then kill "$qemu" 2> /dev/null || true; fi
  rm -rf "$work"
}
trap clean_up EXIT

directory=$build_root/release
if [ ! -d "$directory/tests" ]; then
  say "Building for release."
  configure "$directory" release && build "$directory" || die "the build failed" 1
fi

programs=()
for room in platform pager page_file ''; do
  for program in "$directory"/tests/"$room"*_test; do
    [[ $(basename "$program") =~ $only ]] && [[ " ${programs[*]} " != *" $program "* ]] &&
      programs+=("$program")
  done
done
[ ${#programs[@]} -gt 0 ] || die "no test program in $directory/tests fits $only" 2

# --- The kernel -------------------------------------------------------------------------------
package=$(apt-cache depends linux-image-amd64 | awk '/Depends: linux-image-/ { print $2; exit }')
[ -n "$package" ] || die "apt knows no linux-image-amd64: apt-get update" 2
say "Fetching $package."
(cd "$work" && apt-get download -q "$package" > download.log 2>&1) ||
  { cat "$work/download.log"; die "$package cannot be downloaded" 2; }
dpkg-deb -x "$work"/linux-image-*.deb "$work/kernel"
kernel=$(echo "$work"/kernel/boot/vmlinuz-*)

# A module goes in behind those that it depends on: their list, in `modules`.
modules=()
add_module() {
  local name=$1 file other
  case " ${modules[*]} " in *" $name "*) return ;; esac
  file=$(find "$work/kernel/lib/modules" -name "$name.ko" -o -name "${name//_/-}.ko" | head -n 1)
  # What is not there is part of the kernel itself.
  if [ -z "$file" ]; then return; fi
  for other in $(objcopy -O binary --only-section=.modinfo "$file" /dev/stdout |
    tr '\0' '\n' | sed -n 's/^depends=//p' | tr ',' ' '); do
    add_module "$other"
  done
  modules+=("$name")
  cp "$file" "$first/modules/$name.ko"
}

# --- The first file system: busybox and the modules that lead to the second ---------------------
first=$work/first
mkdir -p "$first"/{bin,modules,proc,sys,dev,root}
cp "$(command -v busybox)" "$first/bin/busybox"
for module in virtio_pci virtio_blk crc32c_generic ext4 loop fuse; do add_module "$module"; done
{
  echo '#!/bin/busybox sh'
  echo 'B=/bin/busybox'
  echo '$B mount -t proc none /proc; $B mount -t sysfs none /sys; $B mount -t devtmpfs none /dev'
  for module in "${modules[@]}"; do
    echo "\$B insmod /modules/$module.ko"
  done
  echo '$B mount -t ext4 /dev/vda /root || { echo NO-DISK; $B poweroff -f; }'
  echo 'for d in proc sys dev; do $B mount --move /$d /root/$d; done'
  echo 'exec $B switch_root /root /bin/busybox sh /run-tests'
} > "$first/init"
chmod +x "$first/init"
(cd "$first" && find . | cpio -o -H newc --quiet | gzip -1) > "$work/first.cpio.gz"

# --- The second: the tests, what they are linked with, and room for page files ------------------
second=$work/second
mkdir -p "$second"/{bin,sbin,proc,sys,dev,tmp,var/tmp,etc,usr/bin,root}
chmod 1777 "$second/tmp" "$second/var/tmp"
cp "$(command -v busybox)" "$second/bin/busybox"
for tool in sh cat true sleep ls sort mount umount dd; do ln -s busybox "$second/bin/$tool"; done
echo 'root:x:0:0:root:/root:/bin/sh' > "$second/etc/passwd"
echo 'nobody:x:65534:65534:nobody:/:/bin/sh' >> "$second/etc/passwd"

# put FILE: at the same path, stripped, with the libraries that it is linked with.
put() {
  local file=$1 library
  mkdir -p "$second$(dirname "$file")"
  strip -g -o "$second$file" "$file" 2> /dev/null || cp -L "$file" "$second$file"
  chmod +x "$second$file"
  for library in $(ldd "$file" 2> /dev/null | grep -o '/[^ ]*'); do
    [ -e "$second$library" ] && continue
    mkdir -p "$second$(dirname "$library")"
    cp -L "$library" "$second$library"
  done
}
for program in "${programs[@]}"; do put "$program"; done
for file in "$directory"/libuserpager*.so* "$directory/userpager" \
  /usr/lib/x86_64-linux-gnu/libcrypto.so.3 /sbin/mkfs.ext4 /usr/bin/nbdkit /usr/bin/nbdfuse \
  /usr/lib/x86_64-linux-gnu/nbdkit/{plugins/nbdkit-file-plugin,filters/nbdkit-error-filter}.so; do
  if [ -e "$file" ]; then put "$(realpath -s "$file")"; fi
done
# What a test reads of the sources.
mkdir -p "$second$root/runtime"
cp -r "$root/runtime/pager" "$second$root/runtime/"

# --- The machine: real, or emulated -------------------------------------------------------------
machine=(qemu-system-x86_64 -m 3G -smp 2 -no-reboot -nographic -nodefaults -serial stdio
  -monitor none -kernel "$kernel" -initrd "$work/first.cpio.gz")
boot='console=ttyS0 quiet panic=-1'

# Inside another virtual machine KVM may refuse, hang, or do each instruction by itself: it must
# come as far as to find that there is no disk.
boots_with_kvm() {
  { timeout 30 "${machine[@]}" -enable-kvm -cpu host -append "$boot" < /dev/null || true; } \
    > "$work/trial" 2>&1
  grep -q NO-DISK "$work/trial"
}

scale=25
if [ -w /dev/kvm ] && boots_with_kvm; then
  machine+=(-enable-kvm -cpu host)
else
  say "The kernel does not boot with KVM here, so the machine is EMULATED: stress tests are small."
  scale=2
  # Emulation does string instructions byte by byte where the processor promises that bytes are
  # fast (erms; rep_good, 112, is the kernel's word for it). The time stamp counter's rate, measured
  # while others use the CPUs, comes out wrong, and time would pass several times too fast.
  machine+=(-accel tcg,thread=multi -cpu max,-erms,-la57)
  boot+=' init_on_alloc=0 mitigations=off tsc=unstable clearcpuid=112'
fi

# A test program that hangs is ended; the machine as a whole is bounded from outside.
{
  echo 'export PATH=/bin:/sbin:/usr/bin LC_ALL=C HOME=/root'
  echo "export USERPAGER_STRESS_SCALE=$scale"
  echo 'busybox ip link set lo up'
  echo 'busybox mkdir -m 1777 /dev/shm; busybox mount -t tmpfs none /dev/shm'
  # The firmware leaves a line without an end.
  echo 'echo; echo "KERNEL $(busybox uname -r)"'
  for program in "${programs[@]}"; do
    name=$(basename "$program")
    echo 'begin=$(busybox date +%s)'
    echo "busybox timeout -s KILL 900 $program --gtest_brief=0 > /tmp/log 2>&1; status=\$?"
    echo "echo \"RESULT $name \$status seconds=\$((\$(busybox date +%s) - begin))\$(busybox sed -n \
's/^\\[  PASSED  \\] \\([0-9]*\\) test.*/ passed=\\1/p; \
s/^\\[  SKIPPED \\] \\([0-9]*\\) test.*/ skipped=\\1/p; \
s/^\\[  FAILED  \\] \\([0-9]*\\) test.*/ failed=\\1/p' /tmp/log | busybox tr -d '\\n')\""
    echo "[ \$status = 0 ] || { echo LOG; busybox grep -v '^\\[ RUN\\|^\\[       OK' /tmp/log |"
    echo "  busybox tail -n 60; echo END-LOG; }"
    echo "busybox grep -A 1 ': Skipped$' /tmp/log | busybox grep -v ': Skipped$\\|^--$' |"
    echo "  busybox sort | busybox uniq -c | busybox sed 's/^ */SKIP $name: /'"
  done
  echo 'echo ALL-DONE'
  echo 'busybox poweroff -f'
} > "$second/run-tests"
truncate -s 6G "$work/disk"
# Twice the files that are there already, so that names are never short.
/sbin/mkfs.ext4 -q -F -d "$second" "$work/disk"
rm -rf "$second"

# --- The run ----------------------------------------------------------------------------------
say "Running ${#programs[@]} test programs on $(basename "$kernel"), for $seconds s at most."
log=$work/console
timeout "$seconds" "${machine[@]}" -append "$boot" \
  -drive "file=$work/disk,format=raw,if=virtio,cache=unsafe" < /dev/null > "$log" 2>&1 &
qemu=$!
wait "$qemu" || true
qemu=

tr -d '\r' < "$log" > "$log.text"
grep '^SKIP ' "$log.text" | sed 's/^SKIP/    skipped/' || true
sed -n '/^LOG$/,/^END-LOG$/p' "$log.text"
results=$work/results
grep '^RESULT ' "$log.text" > "$results" || true
sum() {
  { grep -o "$1=[0-9]*" "$results" || true; } | awk -F= '{ n += $2 } END { print n + 0 }'
}
ran=$(wc -l < "$results")
bad=$(awk '$3 != 0' "$results" | wc -l)
awk '$3 == 0 { print "    " $2 ": " $4 " " ($5 $6 == "" ? "nothing told" : $5 " " $6) }' "$results"
awk '$3 != 0 { print "    failed: " $2 " (status " $3 ")" }' "$results"
say "Kernel $(sed -n 's/^KERNEL //p' "$log.text"): $ran of ${#programs[@]} test programs ran," \
  "$bad failed; $(sum passed) test cases passed, $(sum failed) failed, $(sum skipped) skipped."
if ! grep -q '^ALL-DONE$' "$log.text"; then
  tail -n 30 "$log.text"
  die "the machine did not come to the end" 1
fi
[ "$bad" -eq 0 ]
