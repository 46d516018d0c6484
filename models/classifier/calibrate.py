"""From raw outputs to probabilities that mean the same on new sources, and what they are worth: all on left-out sources."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from sklearn.metrics import f1_score, roc_auc_score

import data
from fit import MANY_WINDOWS, NOISY, row_weights

LOW, HIGH = 1e-6, 1 - 1e-6


@dataclass
class Outputs:
    """Raw outputs for the rows of one head: one line a window."""

    rows: list[data.Row]
    owner: np.ndarray
    small: np.ndarray
    encoder: np.ndarray
    words: np.ndarray | None = None
    reads: np.ndarray | None = None

    def labels(self) -> np.ndarray:
        return np.array([row.label for row in self.rows])


def join(parts: list[Outputs]) -> Outputs:
    starts = np.cumsum([0] + [len(part.rows) for part in parts])
    pick = lambda name: None if getattr(parts[0], name) is None else np.concatenate([getattr(part, name) for part in parts])
    return Outputs([row for part in parts for row in part.rows], np.concatenate([p.owner + s for p, s in zip(parts, starts)]),
                   pick("small"), pick("encoder"), pick("words"), pick("reads"))


def clear(outputs: Outputs) -> Outputs:
    """Without the rows whose label says little."""
    kept = np.array([row.source not in NOISY for row in outputs.rows])
    number, windows = np.cumsum(kept) - 1, kept[outputs.owner]
    part = lambda values: None if values is None else values[windows]
    return Outputs([row for row, k in zip(outputs.rows, kept) if k], number[outputs.owner[windows]], part(outputs.small),
                   part(outputs.encoder), part(outputs.words), part(outputs.reads))


def softmax(logits: np.ndarray) -> np.ndarray:
    e = np.exp(logits - logits.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def margin(logits: np.ndarray) -> np.ndarray:
    return logits[:, 1] - logits[:, 0]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


def gather(head: str, probabilities: np.ndarray, owner: np.ndarray, count: int, reads: np.ndarray | None) -> np.ndarray:
    """Windows to texts: the highest for guards, less for long texts, the mean for the others."""
    if head in data.GUARDS:
        found = np.zeros(count)
        np.maximum.at(found, owner, probabilities[:, 1])
        if reads is not None:
            found = np.clip(found, LOW, HIGH)
            many = np.bincount(owner, weights=reads, minlength=count).clip(1)
            found = sigmoid(np.log(found / (1 - found)) - MANY_WINDOWS * np.log(many))
        return np.stack([1 - found, found], 1)
    found = np.zeros((count, probabilities.shape[1]))
    np.add.at(found, owner, probabilities)
    return found / found.sum(1, keepdims=True)


class Calibration:
    """`parts`: which raw outputs are used, `small`, `encoder` or both. Few numbers: a weight for each, and an offset of the finding."""

    def __init__(self, head: str, parts: list[str], outputs: Outputs) -> None:
        self.head, self.parts = head, parts
        weights, labels = row_weights(outputs.rows), outputs.labels()
        start = np.full(len(parts) + (0 if head == "category" else 1), 0.7 / len(parts))
        if head != "category":
            start[-1] = 0.0

        def loss(numbers: np.ndarray) -> float:
            self.numbers = numbers
            chosen = self.apply(outputs)[np.arange(len(labels)), labels].clip(LOW, HIGH)
            return float(-(weights * np.log(chosen)).mean() + 1e-4 * (numbers**2).sum())

        self.numbers = minimize(loss, start, method="Nelder-Mead", options={"maxiter": 200, "xatol": 1e-3, "fatol": 1e-6}).x

    def windows(self, outputs: Outputs) -> np.ndarray:
        """Probabilities for each window."""
        raw = [getattr(outputs, part) for part in self.parts]
        if self.head == "category":
            return softmax(sum(number * part for number, part in zip(self.numbers, raw)))
        finding = sigmoid(sum(number * margin(part) for number, part in zip(self.numbers, raw)) + self.numbers[-1])
        return np.stack([1 - finding, finding], 1)

    def apply(self, outputs: Outputs) -> np.ndarray:
        """Probabilities for each text."""
        reads = outputs.reads if "small" in self.parts else None
        return gather(self.head, self.windows(outputs), outputs.owner, len(outputs.rows), reads)


def ece(probabilities: np.ndarray, labels: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error of the best label (Guo et al. 2017), ten bins of equal width."""
    best, right = probabilities.max(1), probabilities.argmax(1) == labels
    at = np.minimum((best * bins).astype(int), bins - 1)
    return float(sum(abs(best[at == b].mean() - right[at == b].mean()) * (at == b).mean() for b in range(bins) if (at == b).any()))


def reliability(probabilities: np.ndarray, labels: np.ndarray, bins: int = 10) -> list[tuple[float, float, int]]:
    """(mean confidence, accuracy, texts) of each bin that has texts."""
    best, right = probabilities.max(1), probabilities.argmax(1) == labels
    at = np.minimum((best * bins).astype(int), bins - 1)
    return [(float(best[at == b].mean()), float(right[at == b].mean()), int((at == b).sum())) for b in range(bins) if (at == b).any()]


def figures(probabilities: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    found = {
        "texts": len(labels),
        "accuracy": float((probabilities.argmax(1) == labels).mean()),
        "macro_f1": float(f1_score(labels, probabilities.argmax(1), average="macro")),
        "ece": ece(probabilities, labels),
    }
    if probabilities.shape[1] == 2 and len(set(labels)) == 2:
        found["auc"] = float(roc_auc_score(labels, probabilities[:, 1]))
    elif probabilities.shape[1] > 2:
        present = sorted(set(labels))
        found["auc"] = float(np.mean([roc_auc_score(labels == c, probabilities[:, c]) for c in present]))
    return found
