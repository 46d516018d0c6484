#!/usr/bin/env bash
# Checks whose tools not everyone has: each runs where its tool is installed, and is named where it is not.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cd "$ROOT"
if command -v shellcheck >/dev/null; then
    shellcheck scripts/*.sh .ci/run
else
    say "skipped: shellcheck is not installed (Debian: apt-get install shellcheck)"
fi
if cargo deny --version >/dev/null 2>&1; then
    cargo deny --all-features check licenses bans sources
else
    say "skipped: cargo-deny is not installed (cargo install --locked cargo-deny)"
fi
