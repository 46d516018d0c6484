#!/usr/bin/env bash
# Installs models/requirements.txt (pinned, with hashes) into the private Python environment.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

requirements="$ROOT/models/requirements.txt"
python="$(venv_python venv)"
want="$("$python" --version) $(sha256sum <"$requirements")"
stamped models-env "$want" && exit
run_logged "installing the Python packages of models/" models-env.log \
    "$python" -m pip install --no-deps --only-binary=:all: --require-hashes --find-links "$CACHE/wheels" -r "$requirements" ||
    die "the Python packages of models/requirements.txt could not be installed" \
        "Check that pip reaches PyPI or your mirror of it (PIP_INDEX_URL), then run this again."
stamp models-env "$want"
