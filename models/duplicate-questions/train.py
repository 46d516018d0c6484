#!/usr/bin/env python3
"""Trains the cross-encoder on groups of questions, and writes what it changed of the encoder.

    train.py --encoder FOLDER [--groups FOLDER] [--output FILE] [--epochs N]

`--encoder` holds model.safetensors and tokenizer.json of all-MiniLM-L6-v2. A group is a line of JSON: a question `q`, `same`: others
that its answer answers, `different`: near misses. Pairs of the first two mean the same, a pair of one of these and a near miss does not.

1. Each epoch draws some pairs of each group anew, in a random order of the two.
2. Every weight but the embeddings and their normalization is trained (AdamW, one rise and a cosine's fall of the rate).
3. The change of each matrix is kept as the product of two thin ones of RANK (its singular value decomposition), in half precision: 5 MB
   in place of 42. Vectors are kept as they are.

One in 20 groups is kept back for the loss that is printed; files in `test/` beside `--groups` are never read here.
"""

import argparse
import json
import random
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from safetensors.numpy import save_file

import net

HERE = Path(__file__).parent
BATCH = 32
RATE = 2e-4
RANK = 64
# Pairs drawn of a group in an epoch, of 6 and 20.
SAME, DIFFERENT = 5, 8

Labelled = tuple[net.Pair, float]


def read(folder: Path) -> list[dict]:
    return [json.loads(line) for file in sorted(folder.glob("*.jsonl")) for line in file.read_text().splitlines()]


def pairs_of(group: dict, rng: random.Random, most_same: int, most_different: int) -> list[Labelled]:
    same = [group["q"], *group["same"]]
    alike = [(a, b) for at, a in enumerate(same) for b in same[at + 1 :]]
    other = [(a, b) for a in same for b in group["different"]]
    rng.shuffle(alike)
    rng.shuffle(other)
    drawn = [(pair, 1.0) for pair in alike[:most_same]] + [(pair, 0.0) for pair in other[:most_different]]
    return [((b, a) if rng.random() < 0.5 else (a, b), label) for (a, b), label in drawn]


def batches(reader: net.Pairs, labelled: list[Labelled], rng: random.Random):
    """Batches of pairs of about one length, in random order; a short one is filled with rows that do not count."""
    by_length: dict[int, list[Labelled]] = {}
    for pair, label in labelled:
        if length := reader.length(pair):
            by_length.setdefault(length, []).append((pair, label))
    found = []
    for length, rows in by_length.items():
        rng.shuffle(rows)
        found += [(length, rows[at : at + BATCH]) for at in range(0, len(rows), BATCH)]
    rng.shuffle(found)
    for length, rows in found:
        filler = BATCH - len(rows)
        ids, types, mask = reader.rows([pair for pair, _ in rows] + [rows[0][0]] * filler, length)
        labels = np.array([label for _, label in rows] + [0.0] * filler, np.float32)
        counts = np.array([1.0] * len(rows) + [0.0] * filler, np.float32)
        yield ids, types, mask, labels, counts


def thin(change: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest product of two matrices of RANK columns and rows."""
    left, values, right = np.linalg.svd(change, full_matrices=False)
    root = np.sqrt(values[:RANK])
    return (left[:, :RANK] * root).astype(np.float16), (root[:, None] * right[:RANK]).astype(np.float16)


def adapter(changed: net.Parameters, weights: net.Parameters) -> dict[str, np.ndarray]:
    kept = {}
    for name, value in changed.items():
        value = np.asarray(value)
        if value.ndim == 2 and min(value.shape) > RANK:
            kept[f"{name}.left"], kept[f"{name}.right"] = thin(value - np.asarray(weights[name]))
        else:
            kept[name] = value.astype(np.float32)
    return {name: np.ascontiguousarray(value) for name, value in kept.items()}


def train(encoder: Path, groups: Path, output: Path, epochs: int) -> None:
    rng = random.Random(0)
    reader, weights = net.Pairs(encoder), net.base(encoder)
    all_groups = read(groups)
    rng.shuffle(all_groups)
    kept_back, used = all_groups[::20], [g for at, g in enumerate(all_groups) if at % 20]
    steps = epochs * len(used) * (SAME + DIFFERENT) // BATCH
    print(f"{len(used)} groups to train on, {len(kept_back)} kept back, {steps} steps", flush=True)

    changed = net.trainable(weights, seed=0)
    rate = optax.warmup_cosine_decay_schedule(0, RATE, steps // 15, steps, RATE / 50)
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adamw(rate, weight_decay=0.01))
    state = optimizer.init(changed)

    def loss(changed, ids, types, mask, labels, counts):
        each = optax.sigmoid_binary_cross_entropy(net.scores(changed, weights, ids, types, mask), labels)
        return (each * counts).sum() / counts.sum()

    @jax.jit
    def step(changed, state, *batch):
        value, gradient = jax.value_and_grad(loss)(changed, *batch)
        update, state = optimizer.update(gradient, state, changed)
        return optax.apply_updates(changed, update), state, value

    began, done, recent = time.monotonic(), 0, []
    measure = jax.jit(loss)
    for epoch in range(epochs):
        drawn = [pair for group in used for pair in pairs_of(group, rng, SAME, DIFFERENT)]
        for batch in batches(reader, drawn, rng):
            changed, state, value = step(changed, state, *batch)
            done, recent = done + 1, [*recent[-99:], value]
            if done % 100 == 0:
                print(f"step {done}: loss {np.mean(recent):.4f}, {time.monotonic() - began:.0f} s", flush=True)
        check = [pair for group in kept_back for pair in pairs_of(group, random.Random(1), SAME, DIFFERENT)]
        losses = [float(measure(changed, *batch)) for batch in batches(reader, check, random.Random(2))]
        print(f"epoch {epoch + 1}: loss {np.mean(losses):.4f} of the groups kept back", flush=True)
        save_file(adapter(changed, weights), output)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--groups", type=Path, default=HERE / "groups")
    parser.add_argument("--output", type=Path, default=HERE / "adapter.safetensors")
    parser.add_argument("--epochs", type=int, default=3)
    given = parser.parse_args()
    train(given.encoder, given.groups, given.output, given.epochs)
