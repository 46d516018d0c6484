"""REPORT.md: every figure of the card, from the outputs of train.py."""

import numpy as np
from sklearn.metrics import confusion_matrix, roc_auc_score

import data
from calibrate import Calibration, Outputs, clear, figures, join, reliability

KINDS = {"small": ["small"], "TF-IDF + LR": ["words"], "MiniLM + LR": ["encoder"], "sidecar (both)": ["encoder", "small"]}


def cross(head: str, parts: list[Outputs], kind: list[str]) -> np.ndarray:
    """Probabilities for the texts of all folds; each fold is calibrated on the others."""
    found = []
    for i, part in enumerate(parts):
        # Too few clear texts of both labels to leave a fold out of the two or three numbers of its calibration.
        others = parts if head == "complexity" else [p for j, p in enumerate(parts) if j != i]
        found.append(Calibration(head, kind, clear(join(others))).apply(part))
    return np.concatenate(found)


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows]) + "\n"


def show(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def rows_of(kind: str, found: dict) -> list[str]:
    return [kind, str(found["texts"])] + [show(found.get(key)) for key in ("accuracy", "macro_f1", "auc", "ece")]


def at_threshold(probability: np.ndarray, labels: np.ndarray, threshold: float) -> str:
    found, wanted = probability >= threshold, labels == 1
    precision = (found & wanted).sum() / max(found.sum(), 1)
    return f"precision {precision:.3f}, recall {(found & wanted).sum() / max(wanted.sum(), 1):.3f}, false alarms {found[~wanted].mean():.3f}"


def families(head: str, outputs: Outputs, found: dict[str, np.ndarray], thresholds: dict) -> str:
    names = np.array([row.family for row in outputs.rows])
    labels = outputs.labels()
    rows = []
    for name in sorted(set(names)):
        for label in [None] if head == "category" else sorted(set(labels[names == name])):
            chosen = (names == name) if label is None else (names == name) & (labels == label)
            right = {kind: (p[chosen].argmax(1) == labels[chosen]).mean() if head == "category"
                     else ((p[chosen, 1] >= thresholds[head]) == (label == 1)).mean() for kind, p in found.items()}
            rows.append([name, "" if label is None else data.LABELS[head][label], str(chosen.sum())] + [show(r) for r in right.values()])
    return table(["left-out family", "label", "texts", *found], rows)


def cascade(small: np.ndarray, both: np.ndarray, labels: np.ndarray) -> str:
    """Category: how many texts the proxy settles by itself at each threshold, and what that costs."""
    alone = (both.argmax(1) == labels).mean()
    rows = []
    for t in [0.0, 0.3, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 1.01]:
        settled = small.max(1) >= t
        chosen = np.where(settled, small.argmax(1), both.argmax(1))
        rows.append([f"{t:.2f}", f"{settled.mean():.3f}", f"{(chosen == labels).mean():.3f}", f"{((chosen == labels).mean() - alone) * 100:+.1f}"])
    return table(["threshold", "settled in process", "accuracy", "points against the sidecar alone"], rows)


def write(name: str, left: dict[str, list[Outputs]], val: dict[str, Outputs], fitted: dict[str, Outputs], thresholds: dict) -> str:
    text = [f"# Figures of `{name}`\n", "Written by train.py. \"Left out\": texts of families of sources that were in no part of the training that judged them;",
            "each fold is calibrated on the other folds. \"val\": texts put aside from the sources of the training; they flatter.\n"]
    for head, parts in left.items():
        outputs = join(parts)
        labels = outputs.labels()
        found = {kind: cross(head, parts, use) for kind, use in KINDS.items()}
        text.append(f"## {head}\n")
        if head == "complexity":
            text.append("mmlu and gsm8k are labelled by whether a mid-size model failed, which no model here can tell; the other sources are labelled "
                        "by what they are. Its calibration is the only one that saw the folds it is judged on.\n")
        text.append("Left out:\n")
        text.append(table(["model", "texts", "accuracy", "macro-F1", "AUC", "ECE"], [rows_of(kind, figures(p, labels)) for kind, p in found.items()]))
        if head in val:
            text.append("val:\n")
            shown = [[kind, val[head], use] for kind, use in KINDS.items()]
            text.append(table(["model", "texts", "accuracy", "macro-F1", "AUC", "ECE"],
                              [rows_of(kind, figures(Calibration(head, use, fitted[head]).apply(o), o.labels())) for kind, o, use in shown]))
        if head != "category":
            text.append(f"At the shipped threshold {thresholds[head]:.2f}, left out: " + "; ".join(
                f"{kind}: {at_threshold(found[kind][:, 1], labels, thresholds[head])}" for kind in ("small", "sidecar (both)")) + ".\n")
        text.append(families(head, outputs, found, thresholds))
        text.append("Confusion of the small model, left out (rows: truth, columns: answer):\n")
        matrix = confusion_matrix(labels, found["small"].argmax(1), labels=range(len(data.LABELS[head])))
        text.append(table(["", *data.LABELS[head]], [[label, *map(str, row)] for label, row in zip(data.LABELS[head], matrix)]))
        text.append("Reliability of the small model, left out:\n")
        text.append(table(["mean confidence", "accuracy", "texts"], [[show(c), show(a), str(n)] for c, a, n in reliability(found["small"], labels)]))
    parts = left["category"]
    text.append("## Cascade\n\nCategory: the proxy settles what it is sure of, the sidecar the rest. Left-out texts:\n")
    text.append(cascade(cross("category", parts, ["small"]), cross("category", parts, ["encoder", "small"]), join(parts).labels()))
    text.append("val:\n")
    judged = [Calibration("category", kind, fitted["category"]).apply(val["category"]) for kind in (["small"], ["encoder", "small"])]
    text.append(cascade(*judged, val["category"].labels()))
    return "\n".join(text)
