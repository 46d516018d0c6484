"""Vectors of the sidecar's encoder for texts, kept in a cache folder so that each text goes through it once."""

import hashlib
import sys
import time
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

# Tokens of one window, the two special ones included: what the encoder reads at once.
WINDOW = 128
STRIDE = 96
BATCH_TOKENS = 4096


def key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


class Teacher:
    """`folder` holds model.onnx and tokenizer.json, as models/encoder/export_onnx.py writes them."""

    def __init__(self, folder: Path, cache: Path, threads: int = 2) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.tokenizer.no_padding()
        self.tokenizer.no_truncation()
        self.cache = cache
        cache.mkdir(parents=True, exist_ok=True)
        self.known: dict[bytes, np.ndarray] = {}
        for file in sorted(cache.glob("*.npz")):
            part = np.load(file)
            self.known.update(zip(map(bytes, part["keys"]), part["vectors"]))

    def windows(self, text: str, most: int = 4) -> list[str]:
        """The text in pieces of at most WINDOW tokens, the first `most` of them."""
        offsets = self.tokenizer.encode(text, add_special_tokens=False).offsets
        room = WINDOW - 2
        if len(offsets) <= room:
            return [text]
        starts = range(0, len(offsets) - room + STRIDE, STRIDE)
        return [text[offsets[s][0] : offsets[min(s + room, len(offsets)) - 1][1]] for s in starts][:most]

    def vectors(self, texts: list[str]) -> np.ndarray:
        """f32 [texts, 384], each of length 1: the mean over the tokens of the first WINDOW tokens of each text."""
        keys = [key(t) for t in texts]
        missing = {k: t for k, t in zip(keys, texts) if k not in self.known}
        if missing:
            self._embed(missing)
        return np.stack([self.known[k] for k in keys]).astype(np.float32)

    def _embed(self, missing: dict[bytes, str]) -> None:
        encoded = [(k, e.ids[: WINDOW - 1] + e.ids[-1:] if len(e.ids) > WINDOW else e.ids)
                   for k, e in zip(missing, self.tokenizer.encode_batch(list(missing.values())))]
        encoded.sort(key=lambda pair: len(pair[1]))
        keys, vectors, began, done, start = [], [], time.monotonic(), 0, 0
        while start < len(encoded):
            end = start + 1
            while end < len(encoded) and len(encoded[end][1]) * (end + 1 - start) <= BATCH_TOKENS:
                end += 1
            batch = encoded[start:end]
            longest = len(batch[-1][1])
            ids = np.zeros((len(batch), longest), np.int64)
            mask = np.zeros((len(batch), longest), np.int64)
            for row, (_, tokens) in enumerate(batch):
                ids[row, : len(tokens)] = tokens
                mask[row, : len(tokens)] = 1
            (hidden,) = self.session.run(None, {"input_ids": ids, "attention_mask": mask})
            pooled = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
            pooled /= np.linalg.norm(pooled, axis=1, keepdims=True)
            keys += [k for k, _ in batch]
            vectors.append(pooled.astype(np.float16))
            start, done = end, done + len(batch)
            if (done // len(batch)) % 40 == 0:
                print(f"  encoder: {done} of {len(encoded)} texts, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        vectors = np.concatenate(vectors)
        name = hashlib.blake2b(b"".join(keys), digest_size=8).hexdigest()
        np.savez(self.cache / f"{name}.npz", keys=np.frombuffer(b"".join(keys), np.uint8).reshape(-1, 16), vectors=vectors)
        self.known.update(zip(keys, vectors))
