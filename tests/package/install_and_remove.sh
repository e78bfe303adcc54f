#!/usr/bin/env bash
# Installs Debian packages, tries them and removes them, on a copy-on-write view of this machine's
# files, in a mount namespace of its own: the machine itself is not changed.
#
#   unshare --mount --propagation private tests/package/install_and_remove.sh SCRATCH FILE.deb...
#
# SCRATCH is an empty folder. Returns 0, 1 if something went wrong or was left behind, or 77 if
# there can be no such view here.
set -euo pipefail
trap 'echo "line $LINENO of ${0##*/} failed"' ERR

scratch=$1
shift

skip() {
  echo "$1"
  exit 77
}

mount -t tmpfs none "$scratch" || skip "no file system can be mounted here"
mkdir "$scratch"/{upper,work,root}
mount -t overlay -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" none \
  "$scratch/root" || skip "overlayfs cannot be mounted over / here"
for folder in dev proc sys; do mount --rbind "/$folder" "$scratch/root/$folder"; done
# The pager wants a file system that takes direct I/O.
mount -t tmpfs none "$scratch/root/var/tmp"
mkdir "$scratch/root/run/debs"
cp "$@" "$scratch/root/run/debs"

inside() { chroot "$scratch/root" env DEBIAN_FRONTEND=noninteractive "$@"; }

# What was written, but for what the package manager keeps of itself, and the linker's cache.
list() {
  (cd "$scratch/upper" && find . -xdev \( -path ./var -o -path ./run -o -path ./tmp \) -prune -o \
    \( ! -type d -o -name '*userpager*' \) ! -name 'ld.so.cache*' -print)
}

names=(userpager libuserpager-dev libuserpager0)
inside sh -c 'dpkg --install /run/debs/*.deb'
[ -e "$scratch/upper/usr/bin/userpager" ]
inside dpkg --verify "${names[@]}"
for name in "${names[@]}"; do inside dpkg-query --show --showformat '${Status}\n' "$name"; done |
  sort -u | diff - <(echo "install ok installed")

# The linker's cache knows the library, pkg-config the headers, and the tool its preload library.
inside ldconfig --print-cache | grep "libuserpager\.so\.0 " > /dev/null
inside pkg-config --exists userpager
inside userpager --help > /dev/null
# 1: the machine, not the package, lacks something.
inside userpager doctor > "$scratch/doctor" || [ $? -eq 1 ]
grep -q '^preload library  *yes  */usr/lib' "$scratch/doctor"
grep -q '^/dev/userfaultfd ' "$scratch/doctor"
if grep -q 'userpager run works here' "$scratch/doctor"; then
  inside userpager run --memory 16M -- sh -c 'exit 7' || [ $? -eq 7 ]
fi

inside dpkg --purge "${names[@]}"
left=$(list)
if [ -n "$left" ]; then
  printf 'left behind:\n%s\n' "$left"
  exit 1
fi
