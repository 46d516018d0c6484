#!/usr/bin/env bash
# Checks envoy/prometheus with promtool: the scrape configuration, the rules, and the tests of the rules.
#   scripts/prometheus.sh check
# promtool is taken from the PATH, or from Debian's package `prometheus` without installing it (19 MB, into .cache/bin).
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# fetch_promtool: takes the one program out of the package; apt checks it against the signed lists of the distribution.
fetch_promtool() {
    local folder="$CACHE/promtool" sudo=()
    rm -rf "$folder"
    mkdir -p "$folder" "$CACHE/bin"
    cd "$folder"
    if ! run_logged "downloading promtool (19 MB)" promtool.log apt-get download -q prometheus; then
        [[ "$(id -u)" -eq 0 ]] || sudo=(sudo)
        run_logged "reading the package lists" apt-update.log "${sudo[@]}" apt-get update -q ||
            say "apt-get update failed; trying with the lists there are"
        run_logged "downloading promtool (19 MB)" promtool.log apt-get download -q prometheus ||
            die "promtool could not be fetched" "Put promtool of Prometheus 2.42 or later on the PATH."
    fi
    dpkg -x prometheus_*.deb unpacked
    mv unpacked/usr/bin/promtool "$CACHE/bin/promtool"
    cd "$ROOT"
    rm -rf "$folder"
}

find_promtool() {
    if command -v promtool; then return; fi
    if [[ ! -x "$CACHE/bin/promtool" ]]; then
        command -v apt-get >/dev/null || return 1
        fetch_promtool >&2
    fi
    printf '%s\n' "$CACHE/bin/promtool"
}

[[ "${1:-}" == check ]] || die "usage: scripts/prometheus.sh check"
cd "$ROOT"
if ! promtool="$(find_promtool)"; then
    say "skipped: promtool is not installed (it comes with Prometheus, https://prometheus.io/download/)"
    exit
fi
"$promtool" check config envoy/prometheus/prometheus.yaml >&2
"$promtool" test rules envoy/prometheus/tests/*.yaml >&2
