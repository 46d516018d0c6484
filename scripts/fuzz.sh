#!/usr/bin/env bash
# Fuzzes one target, or all, for so many seconds each: scripts/fuzz.sh [TARGET|all] [SECONDS]
#
# libFuzzer needs coverage counters, which stable rustc can put in; so no nightly compiler and no cargo-fuzz. A text that takes
# longer than 5 seconds counts as a failure. What fails is left in fuzz/artifacts, and so is the corpus in fuzz/corpus.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=scripts/env.sh
source scripts/env.sh

target=${1:-all}
seconds=${2:-600}
known="wordpiece detectors classifier request"
case " all $known " in
*" $target "*) ;;
*)
    echo "fuzz: there is no target '$target'; known: all $known" >&2
    exit 2
    ;;
esac
[[ $target == all ]] && targets=$known || targets=$target

coverage="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=3 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters"
coverage+=" -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing"
# A target of its own, so that build scripts go without the counters.
host=$(rustc -vV | sed -n 's/^host: //p')
RUSTFLAGS="$coverage" cargo build --release --manifest-path fuzz/Cargo.toml --target "$host" --target-dir fuzz/target

for name in $targets; do
    corpus=fuzz/corpus/$name
    log=fuzz/artifacts/$name.log
    mkdir -p "$corpus" "fuzz/artifacts/$name"
    number=0
    while IFS= read -r line; do
        number=$((number + 1))
        printf '%s' "$line" >"$corpus/seed-$number"
    done <"fuzz/seeds/$name"
    echo "fuzz: $name for $seconds s, output in $log"
    if ! "fuzz/target/$host/release/$name" "$corpus" -artifact_prefix="fuzz/artifacts/$name/" -max_total_time="$seconds" \
        -timeout=5 -max_len=20000 -print_final_stats=1 >"$log" 2>&1; then
        grep -v -E '^#[0-9]+[[:space:]]' "$log" | tail -40 >&2
        echo "fuzz: $name failed; the input is in fuzz/artifacts/$name" >&2
        exit 1
    fi
    grep -E '^(Done|stat::)' "$log"
done
