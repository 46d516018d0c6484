#!/usr/bin/env bash
# Chooses what compiles the filters to wasm32-wasip1, and writes the choice to $CACHE/toolchain for wasm.sh:
#   rustup  the active toolchain with its wasm32-wasip1 standard library (first choice)
#   debian  Debian's rustc-web, which builds the standard library itself, where rustup cannot reach its server
# TURNPIKE_TOOLCHAIN=rustup|debian forces one. Why two: docs/adr/0002-wasm-toolchain.md.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

DEBIAN_PACKAGES=(rustc-web cargo-web rust-web-src lld wasi-libc)

has_wasm_target() { [[ -d "$(rustc --print sysroot)/lib/rustlib/wasm32-wasip1" ]]; }

has_debian() { dpkg -s "${DEBIAN_PACKAGES[@]}" >/dev/null 2>&1; }

# `rustup target add` retries a server that does not answer; two minutes are enough for the 20 MB it loads.
use_rustup() {
    has_wasm_target && return
    command -v rustup >/dev/null || return 1
    run_logged "adding rustup target wasm32-wasip1" rustup.log timeout 120 rustup target add wasm32-wasip1
}

use_debian() {
    apt_install "${DEBIAN_PACKAGES[@]}"
    local wanted found
    wanted="$(awk -F'"' '/^rust-version/ { print $2 }' "$ROOT/Cargo.toml")"
    found="$(/usr/bin/rustc --version | awk '{ print $2 }')"
    printf '%s\n%s\n' "$wanted" "$found" | sort -V -C ||
        die "Debian's rustc-web is $found, the filters need $wanted" \
            "Upgrade the package rustc-web, or use rustup: TURNPIKE_TOOLCHAIN=rustup make setup"
}

choice="${TURNPIKE_TOOLCHAIN:-}"
case "$choice" in
rustup)
    use_rustup || die "rustup could not add wasm32-wasip1" \
        "Check the network, or leave TURNPIKE_TOOLCHAIN empty to use Debian's compiler."
    ;;
debian) use_debian ;;
"")
    if has_wasm_target; then
        choice=rustup
    elif [[ "$(cat "$CACHE/toolchain" 2>/dev/null)" == debian ]] && has_debian; then
        choice=debian
    elif use_rustup; then
        choice=rustup
    else
        say "rustup has no wasm32-wasip1 here; falling back to Debian's compiler"
        use_debian
        choice=debian
    fi
    ;;
*) die "TURNPIKE_TOOLCHAIN=$choice: expected rustup or debian" ;;
esac

echo "$choice" >"$CACHE/toolchain"
if [[ "$choice" == rustup ]]; then
    say "filters are built with $(rustc --version | cut -d' ' -f1,2) (target wasm32-wasip1 installed)"
else
    say "filters are built with Debian's $(/usr/bin/rustc --version | cut -d' ' -f1,2) (standard library built from source)"
fi
