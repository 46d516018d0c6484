"""The small model, in JAX: how it is trained. How it is run is written in export.py (ONNX) and filters/classify (Rust).

    tokens  [n]    numbers of word pieces, 0 = padding
    mean    [D]    8 * sum of weight(token) * vector(token), divided by the sum of the weights
    peak    [D]    element-wise maximum of vector(token)
    hidden  [H]    max(0, [mean, peak] W + b)
    logits  [O]    [hidden, mean] A + c, for each head
"""

import time

import jax
import jax.numpy as jnp
import numpy as np
import optax

MEAN_SCALE = 8.0


def init(seed: int, vectors: np.ndarray, weights: np.ndarray, hidden: int, outputs: dict[str, int], teacher: int) -> dict:
    rng = np.random.default_rng(seed)
    dim = vectors.shape[1]

    def dense(rows: int, columns: int, scale: float = 1.0) -> np.ndarray:
        return (rng.standard_normal((rows, columns)) * scale / np.sqrt(rows)).astype(np.float32)

    return {
        "vectors": vectors.astype(np.float32),
        "weights": np.log(np.maximum(weights, 1e-4)).astype(np.float32),
        "hidden": {"w": dense(2 * dim, hidden), "b": np.zeros(hidden, np.float32)},
        "teacher": dense(dim, teacher),
        "heads": {name: {"w": dense(hidden + dim, count, 0.1), "b": np.zeros(count, np.float32)} for name, count in outputs.items()},
    }


def pool(params: dict, tokens: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Mean and maximum over the tokens: f32 [batch, D] each."""
    mask = (tokens > 0).astype(jnp.float32)
    vectors = params["vectors"][tokens]
    weight = jnp.exp(params["weights"][tokens]) * mask
    mean = jnp.einsum("bn,bnd->bd", weight, vectors) / jnp.maximum(weight.sum(1, keepdims=True), 1e-6)
    peak = jnp.max(jnp.where(mask[:, :, None] > 0, vectors, -1e9), axis=1)
    return mean * MEAN_SCALE, peak


def features(params: dict, tokens: jax.Array, keep=None) -> tuple[jax.Array, jax.Array]:
    """What the heads read, f32 [batch, H + D], and the mean for the teacher. `keep` switches hidden units off (dropout)."""
    mean, peak = pool(params, tokens)
    hidden = jax.nn.relu(jnp.concatenate([mean, peak], 1) @ params["hidden"]["w"] + params["hidden"]["b"])
    if keep is not None:
        hidden = hidden * keep
    return jnp.concatenate([hidden, mean], 1), mean


def towards(mean: jax.Array, params: dict) -> jax.Array:
    """The mean in the teacher's space, of length 1."""
    guess = mean @ params["teacher"]
    return guess / jnp.linalg.norm(guess, axis=1, keepdims=True).clip(1e-6)


def distil(params: dict, tokens: np.ndarray, lengths: np.ndarray, teacher: np.ndarray, use: np.ndarray, seed: int,
           epochs: float = 3, rate: float = 5e-3, batch: int = 512) -> dict:
    """Vectors and weights that make the mean point where the teacher's vector points; `use` are the rows to learn from."""
    rng = np.random.default_rng(seed)
    steps = int(epochs * len(use) / batch)
    optimizer = optax.adam(optax.warmup_cosine_decay_schedule(0, rate, 50, steps, rate * 0.1))
    learned = {name: params[name] for name in ("vectors", "weights", "teacher")}
    state = optimizer.init(learned)

    def loss(learned, x, target):
        mean, _ = pool(learned, x)
        guess = towards(mean, learned)
        contrast = -jax.nn.log_softmax((guess @ target.T) * 20, axis=1).diagonal().mean()
        return (1 - (guess * target).sum(1)).mean() + 0.05 * contrast

    @jax.jit
    def step(learned, state, x, target):
        value, gradient = jax.value_and_grad(loss)(learned, x, target)
        updates, state = optimizer.update(gradient, state)
        return optax.apply_updates(learned, updates), state, value

    order = np.concatenate([rng.permutation(use) for _ in range(int(np.ceil(epochs)) + 1)])
    began = time.monotonic()
    for number in range(steps):
        # Batches of texts of about one length: short ones cost less.
        near = order[(number // 8) * batch * 8 : (number // 8 + 1) * batch * 8]
        near = near[np.argsort(lengths[near], kind="stable")]
        rows = near[(number % 8) * batch : (number % 8 + 1) * batch]
        width = 16 * -(-int(lengths[rows].max()) // 16)
        learned, state, value = step(learned, state, tokens[rows, :width], teacher[rows])
        if number % 500 == 0:
            print(f"  distil {number}/{steps}, {time.monotonic() - began:.0f} s, loss {value:.3f}", flush=True)
    return params | learned


def train(params: dict, batches, steps: int, order: list[str], weights: dict[str, float], sizes: list[int], rate: float = 2e-3) -> dict:
    """Learns from `batches(number)` -> (tokens, labels by head in `order`, teacher vectors, soft labels of the last rows, keep).

    The first sum(sizes) rows of a batch belong to the heads, sizes[i] rows to the i-th; the rest only follows the teacher."""
    schedule = optax.warmup_cosine_decay_schedule(0, rate, 100, steps, rate * 0.05)
    decay = lambda tree: jax.tree.map(lambda x: x.ndim == 2 and x.shape[0] < 2000, tree)
    optimizer = optax.chain(optax.clip_by_global_norm(2.0), optax.adamw(schedule, weight_decay=1e-2, mask=decay))
    state = optimizer.init(params)
    ends = np.cumsum([0] + sizes)

    def logits(params, name, read):
        return read @ params["heads"][name]["w"] + params["heads"][name]["b"]

    def loss(params, tokens, labels, teacher, soft, keep):
        read, mean = features(params, tokens, keep)
        total = 4.0 * (1 - (towards(mean, params) * teacher).sum(1)).mean()
        for i, name in enumerate(order):
            out = jax.nn.log_softmax(logits(params, name, read[ends[i] : ends[i + 1]]))
            count = out.shape[1]
            wanted = jax.nn.one_hot(labels[i], count) * 0.95 + 0.05 / count
            total += weights[name] * -(wanted * out).sum(1).mean()
        for name, wanted in soft.items():
            out = jax.nn.log_softmax(logits(params, name, read[ends[-1] :]))
            total += 2.5 * -(wanted * out).sum(1).mean()
        return total

    @jax.jit
    def step(params, state, *batch):
        value, gradient = jax.value_and_grad(loss)(params, *batch)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value

    began = time.monotonic()
    for number in range(steps):
        params, state, value = step(params, state, *batches(number))
        if number % 100 == 0:
            print(f"  train {number}/{steps}, {time.monotonic() - began:.0f} s, loss {value:.3f}", flush=True)
    return params
