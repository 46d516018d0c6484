#!/usr/bin/env bash
# Trains the cross-encoder anew and measures it: train.sh
# Writes adapter.safetensors, REPORT.md and parity.jsonl. About 45 minutes on two cores.
set -euo pipefail
# shellcheck source=../../scripts/lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/../../scripts/lib.sh"

here="$ROOT/models/duplicate-questions"
work="$CACHE/duplicate-questions"
source="$CACHE/models/source"
mkdir -p "$work"

"$ROOT/scripts/setup.sh"
[[ -f "$source/model.safetensors" ]] ||
    die "$source/model.safetensors does not exist" "Run 'make setup' without ENCODER_PATH and ENCODER_REPOSITORY, then this again."
if [[ ! -x "$work/venv/bin/python" ]]; then
    python3 -m venv "$work/venv"
fi
for requirements in "$ROOT/models/classifier/requirements.txt" "$ROOT/models/requirements.txt"; do
    "$work/venv/bin/python" -m pip install --quiet --no-deps --only-binary=:all: --require-hashes -r "$requirements" ||
        die "the Python packages of $requirements could not be installed" \
            "Check that pip reaches PyPI or your mirror of it (PIP_INDEX_URL), then run this again."
done

"$work/venv/bin/python" "$here/train.py" --encoder "$source"
"$ROOT/scripts/second-opinion.sh"
"$work/venv/bin/python" "$here/report.py" --encoder "$source" --model "$CACHE/models/duplicate-questions"
