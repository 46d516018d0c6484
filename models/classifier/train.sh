#!/usr/bin/env bash
# Trains the classifier anew and measures it: train.sh DATA_FOLDER [OUTPUT_FOLDER]
# DATA_FOLDER holds the labelled .jsonl files that CARD.md names. About an hour on two cores the first time, ten minutes later.
set -euo pipefail
# shellcheck source=../../scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

here="$ROOT/models/classifier"
data="${1:?usage: train.sh DATA_FOLDER [OUTPUT_FOLDER]}" output="${2:-$here}"
work="$CACHE/classifier"
mkdir -p "$work" "$output"

"$ROOT/scripts/setup.sh"
if [[ ! -x "$work/venv/bin/python" ]]; then
    python3 -m venv "$work/venv"
fi
"$work/venv/bin/python" -m pip install --quiet --no-deps --only-binary=:all: --require-hashes -r "$here/requirements.txt" ||
    die "the Python packages of models/classifier/requirements.txt could not be installed" \
        "Check that pip reaches PyPI or your mirror of it (PIP_INDEX_URL), then run this again."

wordnet=/usr/share/wordnet
if [[ ! -f "$wordnet/data.noun" ]]; then
    wordnet="$work/wordnet/usr/share/wordnet"
    if [[ ! -f "$wordnet/data.noun" ]]; then
        (cd "$work" && apt-get download --quiet wordnet-base && dpkg-deb --extract wordnet-base_*.deb wordnet) ||
            die "the Debian package wordnet-base could not be fetched" "Install it, then run this again."
    fi
fi

"$work/venv/bin/python" "$here/train.py" --data "$data" --encoder "$CACHE/models/all-MiniLM-L6-v2" \
    --wordnet "$wordnet" --cache "$work" --output "$output"
"$work/venv/bin/python" "$here/entities.py" --data "$data" --wordnet "$wordnet" --output "$output"
