#!/usr/bin/env python3
"""The sidecar beside its peers, on the same weights, the same texts and the same cores.

    sidecar.py [library | server] [--folder FOLDER]

1. `library`: Sentence Transformers on PyTorch, `encode` in a loop at its best batch size, in turns with the plain loop over
   ONNX Runtime and with the sidecar under load.
2. `server`: infinity (PyTorch engine, OpenAI's /embeddings) in turns with the sidecar, under the load generator of
   `cargo bench --workspace --bench sidecar`.

Without an argument: both. FOLDER (.cache/peers) gets a virtual environment of about 6 GB and the model, made from the
original weights in .cache/models/source. Packages come from PyPI on the first run; nothing else is fetched.

infinity 0.0.78 asks for Sentence Transformers before 4 and NumPy before 2; it runs with the present ones, which are the
faster ones, so the packages of requirements.txt are installed as they stand there (`pip --no-deps`). Its cache of answers
is switched off, its `torch.compile` is on, as it is by default.
"""

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = Path(os.environ.get("TURNPIKE_CACHE", ROOT / ".cache"))
MODEL = "all-MiniLM-L6-v2"
MAX_TOKENS = 512
ROUNDS = 3
BATCHES = (4, 8, 32)
# Seconds of one loop.
TURN = 1.5
# torch.compile runs in infinity's warm-up.
START_SECONDS = 300
# Nothing is looked up on a hub, nothing is reported.
OFFLINE = {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1", "INFINITY_ANONYMOUS_USAGE_STATS": "0"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", choices=["library", "server"])
    parser.add_argument("--folder", type=Path, default=CACHE / "peers")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    python = environment(folder)
    if Path(sys.prefix).resolve() != python.parents[1]:
        os.execv(python, [str(python), __file__, *sys.argv[1:]])
    os.environ.update(OFFLINE, OMP_NUM_THREADS=str(cores()))
    model = model_folder(folder)
    if arguments.part != "server":
        library(folder, model)
    if arguments.part != "library":
        server(folder, model)


def cores() -> int:
    return len(os.sched_getaffinity(0))


# --- what is needed


def environment(folder: Path) -> Path:
    """The Python of a virtual environment with exactly the packages of requirements.txt."""
    python, stamp = folder / "venv/bin/python", folder / "venv/requirements.txt"
    requirements = HERE / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        print(f"installing the packages of {requirements.relative_to(ROOT)} into {python.parents[1]}", flush=True)
        venv.create(python.parents[1], clear=True, with_pip=True)
        pip = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*pip, "-r", requirements], check=True)
        shutil.copyfile(requirements, stamp)
    return python.parent.resolve() / python.name


def write_json(path: Path, value) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def model_folder(folder: Path) -> Path:
    """The original weights with the files that Sentence Transformers puts beside a model."""
    import transformers

    source, target = CACHE / "models/source", folder / MODEL
    if not (source / "model.safetensors").exists():
        raise SystemExit(f"{source} has no original weights of {MODEL}; run: make setup")
    target.mkdir(exist_ok=True)
    for file in ("model.safetensors", "config.json"):
        shutil.copyfile(source / file, target / file)
    transformers.BertTokenizerFast(
        tokenizer_file=str(source / "tokenizer.json"), do_lower_case=True, model_max_length=MAX_TOKENS
    ).save_pretrained(target)
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    write_json(
        target / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (kind, path) in enumerate(modules)
        ],
    )
    pooling = {f"pooling_mode_{name}": name == "mean_tokens" for name in ("cls_token", "mean_tokens", "max_tokens")}
    write_json(target / "1_Pooling/config.json", {"word_embedding_dimension": 384, **pooling})
    write_json(target / "sentence_bert_config.json", {"max_seq_length": MAX_TOKENS, "do_lower_case": False})
    return target


def bench(*arguments: str, capture: bool = False) -> str:
    """Runs the Rust benchmark."""
    cargo = "source scripts/env.sh && exec cargo bench --locked --quiet --workspace --bench sidecar -- \"$@\""
    command = ["bash", "-c", cargo, "bench", *arguments]
    done = subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE if capture else None)
    return done.stdout or ""


# --- Sentence Transformers


def library(folder: Path, model: Path) -> None:
    import sentence_transformers
    import torch

    torch.set_num_threads(cores())
    encoder = sentence_transformers.SentenceTransformer(str(model), device="cpu")
    bench("texts", str(folder / "texts.json"))
    texts = json.loads((folder / "texts.json").read_text())
    print(
        f"Sentence Transformers {sentence_transformers.__version__}, PyTorch {torch.__version__}, {cores()} threads; "
        f"texts a second, median of {ROUNDS} rounds\n"
    )
    rates = {length: {} for length in texts}
    for _ in range(ROUNDS):
        for length, of_length in texts.items():
            for batch in BATCHES:
                rates[length].setdefault(batch, []).append(rate(encoder, of_length, batch))
        for length, turn in json.loads(bench("turn", capture=True)).items():
            for name, value in turn.items():
                rates[length].setdefault(name, []).append(value)
    print(f"  {'tokens':<8} {'batch':>6} {'encode':>9} {'ORT loop':>9} {'sidecar':>9} {'sidecar / encode':>17}")
    for length, measured in sorted(rates.items(), key=lambda item: int(item[0])):
        best = max(BATCHES, key=lambda batch: statistics.median(measured[batch]))
        ratio = statistics.median(s / e for s, e in zip(measured["sidecar"], measured[best]))
        encode, loop, sidecar = (statistics.median(measured[name]) for name in (best, "loop", "sidecar"))
        print(f"  {length:<8} {best:>6} {encode:>9.1f} {loop:>9.1f} {sidecar:>9.1f} {ratio:>17.2f}")
    print(flush=True)


def rate(encoder, texts: list[str], batch: int) -> float:
    """Texts a second; a call has one batch, as the sidecar's forwards."""
    encoder.encode(texts[:batch], batch_size=batch)
    done, started = 0, time.perf_counter()
    while time.perf_counter() - started < TURN:
        at = done % (len(texts) - batch)
        encoder.encode(texts[at : at + batch], batch_size=batch)
        done += batch
    return done / (time.perf_counter() - started)


# --- infinity


def server(folder: Path, model: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    command = [
        str(Path(sys.executable).parent / "infinity_emb"),
        *("v2", "--model-id", str(model), "--served-model-name", MODEL, "--engine", "torch", "--device", "cpu"),
        *("--dtype", "float32", "--no-bettertransformer", "--no-vector-disk-cache"),
        *("--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"),
    ]
    with open(folder / "infinity.log", "w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        wait(process, f"http://127.0.0.1:{port}/health", folder / "infinity.log")
        bench("peer", f"http://127.0.0.1:{port}/embeddings", MODEL, str(process.pid))
    finally:
        process.terminate()
        process.wait()


def wait(process: subprocess.Popen, url: str, log: Path) -> None:
    end = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.2)
    raise SystemExit(f"infinity does not serve; {log} says why")


if __name__ == "__main__":
    main()
