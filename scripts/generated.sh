#!/usr/bin/env bash
# generated.sh check|write TURNPIKE: compares the pages that `turnpike docs` prints with docs/, or writes them there.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

PAGES=(metrics)
mode="$1" turnpike="$2"

for page in "${PAGES[@]}"; do
    file="$ROOT/docs/$page.md"
    case "$mode" in
    write) "$turnpike" docs "$page" >"$file" ;;
    check)
        "$turnpike" docs "$page" | diff -u "$file" - >&2 ||
            die "docs/$page.md is not what the code says" "Run: make docs"
        ;;
    *) die "expected check or write, got $mode" ;;
    esac
done
say "$mode: ${PAGES[*]} done"
