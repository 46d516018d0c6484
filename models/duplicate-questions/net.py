"""The cross-encoder in JAX: MiniLM that reads two questions at once, and one score of whether they may have one answer.

    [CLS] first question [SEP] second question [SEP]

Types are 0 up to the first [SEP] and 1 behind it. Score: a linear map of the last vector of [CLS] beside the mean of all of a row's.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

LAYERS, DIM, HEADS, EPSILON = 6, 384, 12, 1e-12
MATRICES = ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense", "intermediate.dense", "output.dense"]
NORMS = ["attention.output.LayerNorm", "output.LayerNorm"]
# Rows are padded to one of these lengths, so that few shapes are compiled. A longer pair is left out.
LENGTHS = [24, 28, 32, 36, 40, 48, 64, 96, 128]

Parameters = dict[str, jax.Array]
Pair = tuple[str, str]


class Pairs:
    """Token ids of pairs; each text is read once."""

    def __init__(self, source: Path) -> None:
        self.tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.start, self.end = map(self.tokenizer.token_to_id, ("[CLS]", "[SEP]"))
        self.known: dict[str, list[int]] = {}

    def ids(self, text: str) -> list[int]:
        if text not in self.known:
            self.known[text] = self.tokenizer.encode(text, add_special_tokens=False).ids
        return self.known[text]

    def length(self, pair: Pair) -> int | None:
        """The padded length of a pair."""
        tokens = sum(len(self.ids(text)) for text in pair) + 3
        return next((length for length in LENGTHS if tokens <= length), None)

    def rows(self, pairs: list[Pair], length: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Ids, types and mask (1 = token), [pairs, length] each."""
        ids, types = np.zeros((2, len(pairs), length), np.int32)
        mask = np.zeros((len(pairs), length), np.float32)
        for row, (first, second) in enumerate(pairs):
            first, second = self.ids(first), self.ids(second)
            tokens = [self.start, *first, self.end, *second, self.end]
            ids[row, : len(tokens)] = tokens
            types[row, len(first) + 2 : len(tokens)] = 1
            mask[row, : len(tokens)] = 1
        return ids, types, mask


def base(source: Path) -> Parameters:
    """The encoder's weights, by their names in the file."""
    return {name: jnp.asarray(value) for name, value in load_file(source / "model.safetensors").items()}


def trainable(weights: Parameters, seed: int) -> Parameters:
    """What training changes: all but the embeddings of words and positions and their normalization, and the score's map, which is new."""
    fixed = ("embeddings.word_embeddings", "embeddings.position_embeddings", "embeddings.LayerNorm", "embeddings.position_ids", "pooler")
    changed = {name: value for name, value in weights.items() if not name.startswith(fixed)}
    changed["classifier.weight"] = 0.02 * jax.random.normal(jax.random.PRNGKey(seed), (2 * DIM,))
    changed["classifier.bias"] = jnp.zeros(())
    return changed


def norm(x: jax.Array, weights: Parameters, name: str) -> jax.Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred * jax.lax.rsqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def scores(changed: Parameters, weights: Parameters, ids: jax.Array, types: jax.Array, mask: jax.Array) -> jax.Array:
    """One score (log-odds) for each row."""
    weights = {**weights, **changed}
    rows, length = ids.shape

    def linear(x: jax.Array, name: str) -> jax.Array:
        return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]

    def heads(x: jax.Array) -> jax.Array:
        return x.reshape(rows, length, HEADS, DIM // HEADS).transpose(0, 2, 1, 3)

    x = weights["embeddings.word_embeddings.weight"][ids] + weights["embeddings.position_embeddings.weight"][:length]
    x = norm(x + weights["embeddings.token_type_embeddings.weight"][types], weights, "embeddings.LayerNorm")
    padding = (1 - mask)[:, None, None, :] * -1e9
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        query, key, value = (heads(linear(x, f"{layer}.attention.self.{part}")) for part in ("query", "key", "value"))
        attention = jax.nn.softmax(query @ key.transpose(0, 1, 3, 2) / np.sqrt(DIM // HEADS) + padding, -1)
        context = (attention @ value).transpose(0, 2, 1, 3).reshape(rows, length, DIM)
        x = norm(x + linear(context, f"{layer}.attention.output.dense"), weights, f"{layer}.attention.output.LayerNorm")
        inner = jax.nn.gelu(linear(x, f"{layer}.intermediate.dense"), approximate=False)
        x = norm(x + linear(inner, f"{layer}.output.dense"), weights, f"{layer}.output.LayerNorm")
    mean = (x * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
    return jnp.concatenate([x[:, 0], mean], -1) @ weights["classifier.weight"] + weights["classifier.bias"]
