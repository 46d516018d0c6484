#!/usr/bin/env bash
# $CACHE/onnxruntime/libonnxruntime.so, which the sidecar loads when it starts (ORT_DYLIB_PATH).
set -euo pipefail
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

version="$(locked onnxruntime version)"
folder="$CACHE/onnxruntime"
want="$version $(locked onnxruntime sha256)"
if ! stamped onnxruntime "$want" "$folder/libonnxruntime.so"; then
    wheel="$(fetch onnxruntime)"
    rm -rf "$folder"
    unpack "$wheel" "$folder" "onnxruntime/capi/libonnxruntime.so.$version" onnxruntime/LICENSE \
        onnxruntime/ThirdPartyNotices.txt
    ln -s "libonnxruntime.so.$version" "$folder/libonnxruntime.so"
    stamp onnxruntime "$want"
fi
say "using ONNX Runtime $version in $folder"
