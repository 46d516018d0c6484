#!/usr/bin/env python3
"""Compares the exported ONNX encoder with its original weights, and with published numbers.

    check_onnx.py SOURCE TARGET

1. A second implementation of the forward pass, in plain numpy, runs each text alone and without padding, straight from
   SOURCE/model.safetensors. ONNX Runtime runs TARGET/model.onnx on all texts as one padded batch. Every hidden state of
   every token, and the mean-pooled unit vectors, must agree to TOLERANCE. A wrong mask shows in the short texts.
2. Three cosine similarities that the Sentence Transformers documentation prints for this model must come out, which
   neither implementation could do with a misread weight.

The numpy forward shares nothing with export_onnx.py: no packed matrices, no folded factors, one head at a time.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from safetensors.numpy import load_file
from tokenizers import Tokenizer

# Largest absolute difference of a component. f32 sums in another order differ by about 1e-6 here.
TOLERANCE = 1e-4
MAX_TOKENS = 256

TEXTS = [
    "",
    "Hi",
    "What is the capital of France?",
    "Write a function that reverses a linked list.",
    "Können Sie mir bitte bei der Steuererklärung helfen? 请帮我写一封信。",
    "x = (1 + 2) * 3 / 4 - 5 ** 6 % 7; print(f'{x!r}')",
    "My e-mail address is someone@example.com and my card number is 4111 1111 1111 1111.",
    "The quick brown fox jumps over the lazy dog. " * 3,
    "Explain the difference between civil and criminal liability, with two examples of each. " * 6,
    "Prove that there are infinitely many primes, then count the ones below one hundred. " * 40,
]

# https://sbert.net, "Quickstart", Sentence Transformer: the similarity matrix of three sentences, four decimals.
PUBLISHED_TEXTS = ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
PUBLISHED_SIMILARITIES = {(0, 1): 0.6660, (0, 2): 0.1046, (1, 2): 0.1411}
# Half of the last printed digit, and rounding.
PUBLISHED_TOLERANCE = 1e-4

erf = np.vectorize(math.erf, otypes=[np.float64])


class Reference:
    """BERT's forward pass in f64, for one text without padding."""

    def __init__(self, source: Path) -> None:
        self.config = json.loads((source / "config.json").read_text())
        self.weights = {k: v.astype(np.float64) for k, v in load_file(source / "model.safetensors").items()}

    def linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def layer_norm(self, x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(-1, keepdims=True) + self.config["layer_norm_eps"])
        return centred / deviation * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def attention(self, x: np.ndarray, layer: str) -> np.ndarray:
        query, key, value = (self.linear(x, f"{layer}.attention.self.{part}") for part in ("query", "key", "value"))
        heads = []
        for columns in np.split(np.arange(x.shape[1]), self.config["num_attention_heads"]):
            scores = query[:, columns] @ key[:, columns].T / math.sqrt(len(columns))
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            heads.append(weights / weights.sum(-1, keepdims=True) @ value[:, columns])
        return self.linear(np.concatenate(heads, -1), f"{layer}.attention.output.dense")

    def forward(self, ids: list[int]) -> np.ndarray:
        """Token numbers to hidden states, [seq, dim]."""
        x = self.weights["embeddings.word_embeddings.weight"][ids]
        x = x + self.weights["embeddings.position_embeddings.weight"][: len(ids)]
        x = self.layer_norm(x + self.weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for number in range(self.config["num_hidden_layers"]):
            layer = f"encoder.layer.{number}"
            x = self.layer_norm(x + self.attention(x, layer), f"{layer}.attention.output.LayerNorm")
            inner = self.linear(x, f"{layer}.intermediate.dense")
            inner = inner * 0.5 * (1.0 + erf(inner / math.sqrt(2.0)))
            x = self.layer_norm(x + self.linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
        return x


def unit_mean(hidden: np.ndarray) -> np.ndarray:
    mean = hidden.mean(0)
    return mean / np.linalg.norm(mean)


def tokenize(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return [encoding.ids for encoding in tokenizer.encode_batch(texts)]


def run_onnx(target: Path, batch: list[list[int]]) -> list[np.ndarray]:
    """One padded batch through ONNX Runtime; the hidden states of each text's own tokens."""
    session = onnxruntime.InferenceSession(target / "model.onnx", providers=["CPUExecutionProvider"])
    seq = max(map(len, batch))
    input_ids, attention_mask = (np.zeros((len(batch), seq), np.int64) for _ in range(2))
    for row, ids in enumerate(batch):
        input_ids[row, : len(ids)] = ids
        attention_mask[row, : len(ids)] = 1
    (hidden,) = session.run(["last_hidden_state"], {"input_ids": input_ids, "attention_mask": attention_mask})
    return [hidden[row, : len(ids)] for row, ids in enumerate(batch)]


def main(source: Path, target: Path) -> int:
    batch = tokenize(Tokenizer.from_file(str(target / "tokenizer.json")), TEXTS + PUBLISHED_TEXTS)
    reference = Reference(source)
    expected = [reference.forward(ids) for ids in batch]
    actual = run_onnx(target, batch)
    failures = 0
    for ids, e, a in zip(batch, expected, actual):
        hidden = float(np.abs(e - a).max())
        vector = float(np.abs(unit_mean(e) - unit_mean(a)).max())
        good = max(hidden, vector) < TOLERANCE
        failures += not good
        print(f"{len(ids):4} tokens  hidden state {hidden:.1e}  vector {vector:.1e}  {'ok' if good else 'DIFFERS'}")

    if json.loads((source / "config.json").read_text()).get("_name_or_path") == "nreimers/MiniLM-L6-H384-uncased":
        vectors = [unit_mean(a) for a in actual[-len(PUBLISHED_TEXTS) :]]
        for (left, right), published in PUBLISHED_SIMILARITIES.items():
            similarity = float(vectors[left] @ vectors[right])
            good = abs(similarity - published) < PUBLISHED_TOLERANCE
            failures += not good
            print(f"published similarity {published:.4f}, got {similarity:.6f}  {'ok' if good else 'DIFFERS'}")
    return 1 if failures else 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
