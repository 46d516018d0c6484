#!/usr/bin/env python3
"""The cache's store beside numpy, hnswlib and FAISS: the same vectors, one query at a time, one thread.

    cache.py [ENTRIES] [--rounds ROUNDS] [--folder FOLDER]

ENTRIES is 100000. Vectors and queries come from `cargo bench --workspace --bench cache`, which says what they are like. The
peers keep f32; HNSW has 16 links and looks at 100 nodes for an insertion and 40 for a lookup, as the store about does.
FOLDER (.cache/peers) gets a virtual environment of its own; packages come from PyPI on the first run.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = Path(os.environ.get("TURNPIKE_CACHE", ROOT / ".cache"))
REQUIREMENTS = HERE / "requirements-cache.txt"
DIMENSIONS = 384
LINKS, BREADTH_OF_INSERTION, BREADTH_OF_SEARCH, MOST = 16, 100, 40, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("entries", nargs="?", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=CACHE / "peers")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    python = environment(folder)
    if Path(sys.prefix).resolve() != python.parents[1]:
        os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")
        os.execv(python, [str(python), __file__, *sys.argv[1:]])
    run(folder, arguments.entries, arguments.rounds)


def environment(folder: Path) -> Path:
    """The Python of a virtual environment with exactly the packages that are asked for."""
    home = folder / "venv-cache"
    python, stamp = home / "bin/python", home / "requirements.txt"
    if not stamp.exists() or stamp.read_text() != REQUIREMENTS.read_text():
        print(f"installing the packages of {REQUIREMENTS.relative_to(ROOT)} into {home}", flush=True)
        venv.create(home, clear=True, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", "-r", REQUIREMENTS], check=True)
        shutil.copyfile(REQUIREMENTS, stamp)
    return python.parent.resolve() / python.name


def bench(*arguments: str) -> str:
    """Runs the Rust benchmark."""
    cargo = 'source scripts/env.sh && exec cargo bench --locked --quiet --workspace --bench cache -- "$@"'
    command = ["bash", "-c", cargo, "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, text=True, stdout=subprocess.PIPE).stdout


def run(folder: Path, entries: int, rounds: int) -> None:
    import numpy

    bench("vectors", str(folder), str(entries))
    read = lambda name: numpy.fromfile(folder / name, dtype=numpy.float32).reshape(-1, DIMENSIONS)
    vectors, queries = read("entries.f32"), read("queries.f32")
    truth = numpy.argmax(queries @ vectors.T, axis=1)
    makers = {"numpy, exact": exact, "hnswlib": hnswlib_index, "FAISS HNSW": faiss_index}
    peers, inserts, sizes = {}, {}, {}
    for name, maker in makers.items():
        before, started_at = resident(), time.thread_time()
        peers[name] = maker(vectors)
        inserts[name] = entries / max(time.thread_time() - started_at, 1e-9)
        sizes[name] = (resident() - before) / entries
    print(f"{entries} entries, {len(queries)} queries, the nearest {MOST}, {rounds} rounds in turns; load average {os.getloadavg()[0]:.1f}")
    results = {name: [] for name in ["store", *peers]}
    for _ in range(rounds):
        turn = json.loads(bench("turn", str(entries)))
        inserts["store"], sizes["store"] = turn["inserts_per_cpu_second"], turn["bytes"]
        results["store"].append(tuple(turn[key] for key in ("p50_us", "p99_us", "cpu_p50_us", "cpu_p99_us", "recall")))
        for name, look_up in peers.items():
            results[name].append(measure(look_up, queries, truth))
    report(results, inserts, sizes)


def report(results, inserts, sizes) -> None:
    print(f"  {'':<14} {'p50 µs':>8} {'p99 µs':>8} {'CPU p50':>8} {'CPU p99':>8} {'recall':>7} {'store / it':>10} {'inserts/CPU s':>14} {'bytes':>6}")
    median = {name: [statistics.median(column) for column in zip(*rows)] for name, rows in results.items()}
    for name, (p50, p99, cpu50, cpu99, recall) in median.items():
        ratio = statistics.median(store[2] / it[2] for store, it in zip(results["store"], results[name]))
        print(f"  {name:<14} {p50:>8.0f} {p99:>8.0f} {cpu50:>8.0f} {cpu99:>8.0f} {recall:>7.3f} {ratio:>10.2f} {inserts[name]:>14.0f} {sizes[name]:>6.0f}")
    print("  store / it: CPU p50, median of the rounds' ratios; bytes: resident memory an entry, the store's with questions, answers and all")


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def exact(vectors):
    import numpy

    matrix = vectors.copy()

    def look_up(query):
        scores = matrix @ query
        best = numpy.argpartition(scores, -MOST)[-MOST:]
        return best[numpy.argmax(scores[best])]

    return look_up


def hnswlib_index(vectors):
    import hnswlib

    index = hnswlib.Index(space="ip", dim=DIMENSIONS)
    index.init_index(max_elements=len(vectors), M=LINKS, ef_construction=BREADTH_OF_INSERTION)
    index.set_num_threads(1)
    for row in range(len(vectors)):
        index.add_items(vectors[row : row + 1], [row], num_threads=1)
    index.set_ef(BREADTH_OF_SEARCH)
    return lambda query: index.knn_query(query, k=MOST, num_threads=1)[0][0][0]


def faiss_index(vectors):
    import faiss

    faiss.omp_set_num_threads(1)
    index = faiss.IndexHNSWFlat(DIMENSIONS, LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = BREADTH_OF_INSERTION
    index.hnsw.efSearch = BREADTH_OF_SEARCH
    for row in range(len(vectors)):
        index.add(vectors[row : row + 1])
    return lambda query: index.search(query[None], MOST)[1][0][0]


def measure(look_up, queries, truth):
    """p50, p99, both also by CPU time, and recall@1, after one round that nobody measures."""
    right = sum(int(look_up(query) == nearest) for query, nearest in zip(queries, truth))
    clock, cpu = [], []
    for query in [*queries] * (3 if len(queries) < 1000 else 1):
        started_at, cpu_before = time.perf_counter(), time.thread_time()
        look_up(query)
        cpu.append((time.thread_time() - cpu_before) * 1e6)
        clock.append((time.perf_counter() - started_at) * 1e6)
    at = lambda times, share: sorted(times)[round((len(times) - 1) * share)]
    return at(clock, 0.5), at(clock, 0.99), at(cpu, 0.5), at(cpu, 0.99), right / len(queries)


if __name__ == "__main__":
    main()
