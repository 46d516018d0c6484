#!/usr/bin/env bash
# $CACHE/redis/redis-server: a Redis with vector sets (8.0 or later) for the tests of the shared cache.
#
# A redis-server on the PATH that is new enough is taken. Otherwise Debian 13's packages are unpacked into $CACHE/redis with the
# libraries and the loader that they were built for: nothing is installed, and it runs on an older Debian, too. They come from
# the mirror of this machine's apt, which checks them against the signed lists of the distribution.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

NEEDED=8.0
SUITE=trixie
# Where apt's own configuration names no mirror of Debian.
DEFAULT_MIRROR=http://deb.debian.org/debian
FOLDER="$CACHE/redis"
SERVER="$FOLDER/redis-server"

# new_enough PROGRAM: whether it is a Redis with vector sets.
new_enough() {
    local version
    version="$("$1" --version 2>/dev/null | sed -n 's/^Redis server v=\([0-9.]*\) .*/\1/p')"
    [[ -n "$version" ]] && printf '%s\n%s\n' "$NEEDED" "$version" | sort -V -C
}

# mirror: the archive that this machine's apt uses for Debian.
mirror() {
    # shellcheck disable=SC2016 # apt fills it in.
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 2>/dev/null |
        sed 's:/*$::' | grep -v -e security -e debug | head -n 1 | grep . || printf '%s\n' "$DEFAULT_MIRROR"
}

# own_apt COMMAND…: apt with lists, cache and state of its own, for the suite alone.
own_apt() {
    local command="$1"
    shift
    "$command" -q -o Dir::Etc::SourceList="$FOLDER/apt/sources.list" -o Dir::Etc::SourceParts=- \
        -o Dir::State="$FOLDER/apt" -o Dir::State::status="$FOLDER/apt/status" -o Dir::Cache="$FOLDER/apt" \
        -o APT::Sandbox::User= -o Acquire::Languages=none "$@"
}

# libraries: the packages of libraries that redis-tools needs, which has the program.
libraries() {
    own_apt apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
        --no-enhances redis-tools | grep -E '^(lib|lua|zlib)[a-z0-9]' | sort -u
}

unpack_debian() {
    local packages package
    rm -rf "$FOLDER"
    mkdir -p "$FOLDER"/apt/{lists/partial,archives/partial} "$FOLDER"/{packages,root}
    : >"$FOLDER/apt/status"
    printf 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] %s %s main\n' "$(mirror)" "$SUITE" \
        >"$FOLDER/apt/sources.list"
    run_logged "reading the package lists of Debian $SUITE" redis-lists.log own_apt apt-get update || return
    mapfile -t packages < <(libraries)
    cd "$FOLDER/packages"
    run_logged "downloading Redis and its libraries from Debian $SUITE" redis-download.log \
        own_apt apt-get download redis-server redis-tools "${packages[@]}" || return
    for package in *.deb; do dpkg -x "$package" "$FOLDER/root"; done
    cd "$ROOT"
    rm -rf "$FOLDER"/{apt,packages}
}

# write_start: a program that starts Redis with the loader and the libraries beside it.
write_start() {
    local loader libraries
    loader="$(find "$FOLDER/root" -name 'ld-linux-*.so.*' | head -n 1)"
    [[ -n "$loader" ]] || die "Debian's libc has no loader where it was looked for"
    libraries="$(find "$FOLDER/root" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)"
    cat >"$SERVER" <<START
#!/bin/sh
exec "$loader" --argv0 redis-server --library-path "$libraries" "$FOLDER/root/usr/bin/redis-check-rdb" "\$@"
START
    chmod +x "$SERVER"
}

if own="$(command -v redis-server)" && new_enough "$own"; then
    mkdir -p "$FOLDER"
    ln -sf "$own" "$SERVER"
elif ! new_enough "$SERVER"; then
    # Only tests need it: everything else is built and runs without.
    if ! command -v apt-get >/dev/null || ! unpack_debian; then
        say "skipped: no redis-server $NEEDED or later; the tests of the shared cache will fail until one is on the PATH"
        exit
    fi
    write_start
    new_enough "$SERVER" || die "Debian's Redis does not start" "Run $SERVER --version and see why."
fi
say "using $("$SERVER" --version | cut -d' ' -f1-3) ($SERVER)"
