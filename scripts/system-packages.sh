#!/usr/bin/env bash
# A C compiler and linker (crates with C sources, linking) and Python's venv (fetching and converting the encoder).
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

packages=()
command -v cc >/dev/null || packages+=(build-essential)
python3 -c 'import venv, ensurepip' 2>/dev/null || packages+=(python3 python3-venv)
if [[ ${#packages[@]} -gt 0 ]]; then apt_install "${packages[@]}"; fi
command -v cargo >/dev/null || die "cargo was not found" "Install Rust with rustup, see https://rustup.rs."
wanted="$(awk -F'"' '/^rust-version/ { print $2 }' "$ROOT/Cargo.toml")"
found="$(rustc --version | awk '{ print $2 }')"
printf '%s\n%s\n' "$wanted" "$found" | sort -V -C ||
    die "rustc $found is too old, $wanted or later is needed" "With rustup: rustup update stable"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    die "$(python3 --version) is too old" "Put a Python 3.11 or later first on the PATH."
say "compiler, cargo and Python are there"
