# What tests/run.sh and samples/run.sh share. Sourced, not run; expects $root, the checkout.

build_root=$(realpath -m "${USERPAGER_BUILD_DIR:-$root/build}")
# Numbers and messages of tools are read below.
export LC_ALL=C.UTF-8

say() { printf '==> %s\n' "$*"; }

die() {
  printf '%s: %s\n' "${0##*/}" "$1" >&2
  exit "${2:-1}"
}

# Makes sure that the Debian packages are there. What is missing is installed, by root; anyone else
# is told which they are. Nothing is fetched where nothing is missing.
need_packages() {
  if ! command -v dpkg-query > /dev/null; then
    say "This is not Debian, so the packages are not checked. Needed there: $*"
    return
  fi
  local missing=() package
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q '^install ok installed$' ||
      missing+=("$package")
  done
  if [ ${#missing[@]} -eq 0 ]; then
    say "All Debian packages are there."
    return
  fi
  if [ "$(id -u)" -ne 0 ]; then
    die "packages are missing and only root can install them: apt-get install ${missing[*]}" 2
  fi
  say "Installing the missing Debian packages: ${missing[*]}"
  local install=(apt-get install -y -q --no-install-recommends "${missing[@]}")
  export DEBIAN_FRONTEND=noninteractive
  if ! "${install[@]}" > /dev/null 2>&1; then
    # A fresh machine has no package lists yet.
    apt-get update -q || die "apt-get update failed, so ${missing[*]} cannot be installed" 2
    "${install[@]}" || die "apt-get could not install ${missing[*]}" 2
  fi
}

# configure DIRECTORY PRESET [OPTION...]
configure() {
  local directory=$1 preset=$2
  shift 2
  local launcher=
  if command -v ccache > /dev/null; then launcher=ccache; fi
  # Presets are looked up in the current directory.
  (cd "$root" && cmake --preset "$preset" -B "$directory" --log-level=WARNING \
    "-DCMAKE_C_COMPILER_LAUNCHER=$launcher" "-DCMAKE_CXX_COMPILER_LAUNCHER=$launcher" \
    "$@" > "$directory.configure.log" 2>&1) ||
    { cat "$directory.configure.log"; return 1; }
}

# build DIRECTORY: shows progress on a terminal, and elsewhere only what goes wrong.
build() {
  local quiet=(--quiet)
  if [ -t 1 ]; then quiet=(); fi
  cmake --build "$1" -- "${quiet[@]}"
}
