#!/usr/bin/env bash
# Installs the official OpenAI and Anthropic clients, wasm-tests/clients/requirements.txt (pinned, with hashes), into a Python
# environment of their own: the tests talk to the gateway with them, as programs do.
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

requirements="$ROOT/wasm-tests/clients/requirements.txt"
python="$(venv_python clients)"
want="$("$python" --version) $(sha256sum <"$requirements")"
stamped clients "$want" "$CACHE"/clients/lib/python*/site-packages/openai && exit
run_logged "installing the clients of OpenAI and Anthropic" clients.log \
    "$python" -m pip install --no-deps --only-binary=:all: --require-hashes -r "$requirements" ||
    die "the Python packages of wasm-tests/clients/requirements.txt could not be installed" \
        "Check that pip reaches PyPI or your mirror of it (PIP_INDEX_URL), then run this again."
stamp clients "$want"
