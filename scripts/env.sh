# shellcheck shell=bash
# The one place that tells tests, demo and benchmarks where the fetched and built things are. Source it.
# shellcheck source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Envoy 1.36 or later.
export TURNPIKE_ENVOY="${TURNPIKE_ENVOY:-$CACHE/bin/envoy}"
# ONNX Runtime's shared library; the name is the `ort` crate's.
export ORT_DYLIB_PATH="${ORT_DYLIB_PATH:-$CACHE/onnxruntime/libonnxruntime.so}"
# Folder with model.onnx, tokenizer.json and config.json.
export TURNPIKE_MODEL_DIR="${ENCODER_PATH:-$CACHE/models/all-MiniLM-L6-v2}"
# Folder with a cross-encoder's model.onnx, tokenizer.json and config.json.
export TURNPIKE_SECOND_OPINION_DIR="${TURNPIKE_SECOND_OPINION_DIR:-$CACHE/models/duplicate-questions}"
# Python with the official clients of OpenAI and Anthropic.
export TURNPIKE_CLIENTS_PYTHON="${TURNPIKE_CLIENTS_PYTHON:-$CACHE/clients/bin/python}"
# Folder with turnpike_meter.wasm and turnpike_router.wasm.
export TURNPIKE_WASM_DIR="${TURNPIKE_WASM_DIR:-$ROOT/dist}"
# Redis 8 or later, for the tests of the shared cache.
export TURNPIKE_REDIS_SERVER="${TURNPIKE_REDIS_SERVER:-$CACHE/redis/redis-server}"
