#!/usr/bin/env python3
"""Measures the cross-encoder as it is shipped on groups that it never saw, and writes what its readers must get for some pairs.

    report.py --encoder FOLDER --model FOLDER

`--encoder` holds the encoder's model.safetensors and tokenizer.json, `--model` what export.py wrote. Writes into this folder:

REPORT.md     pairs of `test/` by verdict and probability, the lower one of both orders; all pairs, and those of a cosine of at least 0.85
parity.jsonl  pairs with the probability that train.py's own network gives them in this order

The verdicts are those of whoever wrote the groups.
"""

import argparse
import json
import random
from pathlib import Path

import numpy as np
import onnxruntime
from safetensors.numpy import load_file

import net
from export import changed
from train import HERE, pairs_of, read

# Pairs of each verdict that are drawn of a group.
DRAWN = 6
SIMILAR = 0.85
THRESHOLDS = [0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99]
PARITY = 60
BATCH = 64


def sigmoid(score: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-score))


class Shipped:
    def __init__(self, folder: Path) -> None:
        self.session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])

    def probabilities(self, reader: net.Pairs, pairs: list[net.Pair]) -> np.ndarray:
        """Of each pair in its order; 0 where it is too long."""
        found = np.zeros(len(pairs))
        by_length: dict[int, list[int]] = {}
        for at, pair in enumerate(pairs):
            if length := reader.length(pair):
                by_length.setdefault(length, []).append(at)
        for length, places in by_length.items():
            for start in range(0, len(places), BATCH):
                some = places[start : start + BATCH]
                ids, types, mask = reader.rows([pairs[at] for at in some], length)
                inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
                logits = self.session.run(["logits"], {name: value.astype(np.int64) for name, value in inputs.items()})[0]
                found[some] = sigmoid(logits[:, 0])
        return found


def similarities(reader: net.Pairs, encoder: Path, pairs: list[net.Pair]) -> np.ndarray:
    """Cosines by the unchanged encoder: the mean over the tokens of each text alone."""
    session = onnxruntime.InferenceSession(str(encoder.parent / "all-MiniLM-L6-v2" / "model.onnx"), providers=["CPUExecutionProvider"])
    texts = sorted({text for pair in pairs for text in pair}, key=lambda text: len(reader.ids(text)))
    vectors = {}
    for start in range(0, len(texts), BATCH):
        some = texts[start : start + BATCH]
        length = max(len(reader.ids(text)) for text in some) + 2
        ids, mask = np.zeros((2, len(some), length), np.int64)
        for row, text in enumerate(some):
            tokens = [reader.start, *reader.ids(text), reader.end]
            ids[row, : len(tokens)], mask[row, : len(tokens)] = tokens, 1
        hidden = session.run(None, {"input_ids": ids, "attention_mask": mask})[0]
        mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        vectors |= zip(some, mean / np.linalg.norm(mean, axis=1, keepdims=True))
    return np.array([float(vectors[a] @ vectors[b]) for a, b in pairs])


def table(lowest: np.ndarray, same: np.ndarray) -> list[str]:
    lines = ["| probability from | same, called same | different, called same |", "|---|---|---|"]
    for threshold in THRESHOLDS:
        cells = []
        for verdict in (same, ~same):
            count, total = int((lowest[verdict] >= threshold).sum()), int(verdict.sum())
            cells.append(f"{count} of {total}, {100 * count / total:.1f} %")
        lines.append(f"| {threshold} | {cells[0]} | {cells[1]} |")
    return lines


def main(encoder: Path, model: Path) -> None:
    reader, shipped, rng = net.Pairs(encoder), Shipped(model), random.Random(0)
    groups = read(HERE / "test")
    labelled = [pair for group in groups for pair in pairs_of(group, rng, DRAWN, DRAWN)]
    pairs, same = [pair for pair, _ in labelled], np.array([label == 1.0 for _, label in labelled])
    lowest = np.minimum(shipped.probabilities(reader, pairs), shipped.probabilities(reader, [(b, a) for a, b in pairs]))
    near = similarities(reader, encoder, pairs) >= SIMILAR
    lines = [
        "# The cross-encoder on groups that it never saw",
        "",
        f"`report.py` wrote this. {len(groups)} groups of `test/`, of each {DRAWN} pairs with one answer and {DRAWN} with different ones.",
        "A pair is called the same where the lower probability of both orders reaches the first column.",
        "",
        "## All pairs",
        "",
        *table(lowest, same),
        "",
        f"## Pairs of a cosine of at least {SIMILAR}: what the cache would ask it, and the rules have not seen",
        "",
        *table(lowest[near], same[near]),
        "",
    ]
    (HERE / "REPORT.md").write_text("\n".join(lines))
    print("\n".join(lines))

    weights = {name: np.asarray(value) for name, value in net.base(encoder).items()}
    weights = changed(weights, load_file(HERE / "adapter.safetensors"))
    some = pairs[:: len(pairs) // PARITY][:PARITY]
    scores = [float(net.scores({}, weights, *reader.rows([pair], reader.length(pair)))[0]) for pair in some]
    difference = np.abs(sigmoid(np.array(scores)) - shipped.probabilities(reader, some)).max()
    print(f"largest difference of a probability between both networks: {difference:.1e}")
    expected = [{"a": a, "b": b, "probability": round(float(sigmoid(score)), 6)} for (a, b), score in zip(some, scores)]
    (HERE / "parity.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in expected))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    given = parser.parse_args()
    main(given.encoder, given.model)
