#!/usr/bin/env bash
# Brings a fresh machine to where everything builds and runs. Each step finds out by itself whether there is work,
# so a second run takes a second. Knobs: TURNPIKE_CACHE, TURNPIKE_TOOLCHAIN, ENCODER_PATH, ENCODER_REPOSITORY.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

machine >/dev/null
exec 9>"$CACHE/setup.lock"
flock -n 9 || { say "another set-up is running; waiting for it" && flock 9; }

for step in system-packages toolchain envoy onnxruntime encoder second-opinion redis clients; do
    "$ROOT/scripts/$step.sh" || die "the step '$step' failed" "Run 'make setup' again when the above is resolved."
done
