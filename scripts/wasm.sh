#!/usr/bin/env bash
# Builds both filters into dist/ with the compiler that toolchain.sh chose, prints their sizes and holds them to limits.
# `wasm.sh empty` builds instead the filter that does nothing, the benchmarks' baseline; `wasm.sh probe` the one of the tests.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

TARGET=wasm32-wasip1
DIST="$ROOT/dist"
# Envoy compiles a module before it opens its listener, so size is start-up time. Bytes.
METER_LIMIT=1000000
ROUTER_LIMIT=8000000

toolchain="$(cat "$CACHE/toolchain" 2>/dev/null)" || die "no compiler for $TARGET chosen yet" "Run: make setup"

# Both filters log it when they start.
TURNPIKE_GIT_HASH="$(git -C "$ROOT" rev-parse --short=12 HEAD 2>/dev/null || echo unknown)"
export TURNPIKE_GIT_HASH

# Flags of the environment would replace the ones set here.
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS
# Paths of the builder's machine have no place in a module (panic messages would carry them).
flags="--remap-path-prefix=$ROOT= --remap-path-prefix=${CARGO_HOME:-$HOME/.cargo}=cargo"
target_dir="${CARGO_TARGET_DIR:-$ROOT/target}/wasm-$toolchain"
cargo=(cargo)
build_std=()

# Rust's own wasi-libc is part of rustup's target; Debian's is older and lacks some symbols that std refers to.
use_debian() {
    cargo=(env RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 /usr/bin/cargo)
    flags+=" -C linker=wasm-ld -C link-self-contained=no -L native=/usr/lib/wasm32-wasi"
    # The hash of the source in the name: cargo does not see that an object in its link arguments changed.
    local stubs
    stubs="$target_dir/wasi-stubs-$(sha256sum "$ROOT/scripts/wasi-stubs/src/lib.rs" | cut -c1-12).o"
    CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="$flags" "${cargo[@]}" rustc --quiet --locked \
        -Z build-std=core --manifest-path "$ROOT/scripts/wasi-stubs/Cargo.toml" --release --target "$TARGET" \
        --target-dir "$target_dir" -- --emit "obj=$stubs"
    flags+=" -C link-arg=$stubs"
    build_std=(-Z "build-std=std,panic_abort")
}

# build PACKAGE EXTRA_FLAGS LIMIT. A folder per package: cargo would throw one's dependencies away for the other's flags.
build() {
    local package="$1" module="${1//-/_}.wasm" limit="$3" start="$SECONDS" folder="$target_dir/$1" built size
    say "building $package with $toolchain …"
    CARGO_TARGET_WASM32_WASIP1_RUSTFLAGS="$flags $2" "${cargo[@]}" build --quiet --locked "${build_std[@]}" \
        --package "$package" --profile wasm --target "$TARGET" --target-dir "$folder"
    mkdir -p "$DIST"
    built="$folder/$TARGET/wasm/$module"
    cmp -s "$built" "$DIST/$module" || cp "$built" "$DIST/$module"
    size="$(stat -c %s "$DIST/$module")"
    say "dist/$module: $size bytes (limit $limit), $((SECONDS - start)) s"
    [[ "$size" -lt "$limit" ]] || die "$module has grown over its limit of $limit bytes" \
        "Find what made it grow (cargo tree -p $package, cargo bloat) or discuss the limit in docs/adr."
}

cd "$ROOT"
if [[ "$toolchain" == debian ]]; then use_debian; fi
if [[ "${1:-}" == empty ]]; then
    build turnpike-empty "" "$METER_LIMIT"
    exit
fi
if [[ "${1:-}" == probe ]]; then
    build turnpike-probe "-C target-feature=+simd128" "$ROUTER_LIMIT"
    exit
fi
build turnpike-meter "" "$METER_LIMIT"
# The small models' kernels need SIMD; the meter stays loadable in hosts without it.
build turnpike-router "-C target-feature=+simd128" "$ROUTER_LIMIT"
