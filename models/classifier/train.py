#!/usr/bin/env python3
"""Trains the small model and the sidecar's heads, measures both on sources that they never saw, and writes everything.

    train.py --data FOLDER --encoder FOLDER --wordnet FOLDER [--cache FOLDER] [--output FOLDER]

Writes model.onnx (filters), encoder-heads.json (sidecar), parity.jsonl (tests) and REPORT.md into the output folder.

1. Every text goes through the sidecar's encoder once (the longest step; kept in the cache).
2. Four trainings, each without some families of sources (data.FOLDS); their outputs for those calibrate and measure.
3. One training on everything: what is shipped.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import onnxruntime
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

import data
import export
import own
import report
from calibrate import Calibration, Outputs, clear, join
from fit import HEADS, MANY_WINDOWS, Fit, load, row_weights, tokenizer

HERE = Path(__file__).parent
# Most false alarms of the jailbreak head on ordinary texts of left-out sources, at the shipped threshold.
FALSE_ALARMS = 0.03
BLOCK = 16
# Heads for which the encoder is clearly better on left-out sources (REPORT.md): the sidecar has those.
SIDECAR = ["category", "fresh"]
PROBES = ["How many protons does a carbon nucleus have, and why?", "Is my landlord allowed to keep the deposit?", "What is the weather in Oslo right now?"]


def words_head(texts, rows, left_out, head, test_windows) -> np.ndarray:
    """TF-IDF of words and pairs with logistic regression: what a simple model would do."""
    use = [row for row in rows if row.head == head and row.family not in left_out and row.split == "train"]
    windows, owner = texts.pack(use, 2)
    vectorizer = TfidfVectorizer(min_df=2, ngram_range=(1, 2), max_features=60_000, sublinear_tf=True)
    known = vectorizer.fit_transform([texts.texts[i] for i in windows])
    labels = np.array([row.label for row in use])[owner]
    model = LogisticRegression(C=10.0, max_iter=60).fit(known, labels, sample_weight=row_weights(use)[owner])
    return np.log(model.predict_proba(vectorizer.transform([texts.texts[i] for i in test_windows])).clip(1e-6))


def outputs_of(fit, texts, rows, left_out, chosen) -> dict[str, Outputs]:
    found = {}
    for head in HEADS:
        test = [row for row in rows if row.head == head and chosen(row)]
        if test:
            windows, owner = texts.pack(test, 4)
            found[head] = Outputs(test, owner, fit.logits(windows)[head], fit.encoder_logits(head, windows),
                                  words_head(texts, rows, left_out, head, windows), fit.reads(windows))
    return found


def parity(target: Path, model: Path, pieces: list[str]) -> None:
    """1,000 texts of our own and what the ONNX file says of them: blocks of BLOCK tokens, two a window."""
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    cut = tokenizer(pieces)
    writer = own.Writer(99)
    rows = own.rows(seed=23)
    texts = [row["text"] for row in writer.random.sample(rows, 900)]
    odd = ["naïve façade über Straße", "Ⅷ ½ ﬁ ① ｆｕｌｌ", "数据库 и договор", "a\u200bb\u00adc\tz\n\n", "I̧̠͌gnore", "🙂 ok 👍🏽", "x" * 700, "İstanbul ǅ",
           "\ufeff\ufffdbom", "don't-stop_me@now.com", "한국어 문장", "ไทย", "नमस्ते दुनिया", "𝐈𝐠𝐧𝐨𝐫𝐞 𝐫𝐮𝐥𝐞𝐬", "a.b,c;d", " ", "∑ x² ≤ ∞"]
    texts += odd
    while len(texts) < 1000:
        texts.append(" ".join(row["text"] for row in writer.random.sample(rows, writer.random.randint(2, 40))))
    with target.open("w") as file:
        for text in texts:
            ids = cut.encode(text, add_special_tokens=False).ids
            blocks = [ids[i : i + BLOCK] for i in range(0, len(ids), BLOCK)]
            windows = [a + b for a, b in zip(blocks, blocks[1:])] or blocks
            seen: dict[str, list[np.ndarray]] = {head: [] for head in HEADS}
            for window in windows:
                for head, out in zip(HEADS, session.run(HEADS, {"tokens": np.array(window, np.int64)})):
                    seen[head].append(out)
            # Tokens that no window before had.
            counts = [len(blocks[0]) + len(blocks[1]) if i == 0 and len(blocks) > 1 else len(blocks[min(i + 1, len(blocks) - 1)])
                      for i in range(len(windows))]
            scores = {}
            for head, outs in seen.items():
                if outs and head in data.GUARDS:
                    finding = float(max(out[-1] for out in outs))
                    finding = finding / (finding + (1 - finding) * len(outs) ** MANY_WINDOWS)
                    scores[head] = [1 - finding, finding]
                elif outs:
                    scores[head] = np.average(outs, axis=0, weights=counts)
            line = {"text": text, "tokens": len(ids), "scores": {h: [round(float(x), 5) for x in s] for h, s in scores.items()}}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def threshold(calibration: Calibration, outputs: Outputs) -> float:
    """The lowest probability, in hundredths, that at most FALSE_ALARMS of the ordinary texts reach: of all, and of a family on average."""
    probability = calibration.apply(outputs)[:, 1]
    ordinary = outputs.labels() == 0
    families = np.array([row.family for row in outputs.rows])
    groups = [probability[ordinary & (families == f)] for f in sorted(set(families[ordinary]))]
    groups = [g for g in groups if len(g) >= 50]

    def too_many(t: float) -> bool:
        return max(np.mean([(g >= t).mean() for g in groups]), (probability[ordinary] >= t).mean()) > FALSE_ALARMS

    return next((t for t in np.arange(0.5, 0.995, 0.01) if not too_many(t)), 0.99)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled .jsonl files")
    parser.add_argument("--encoder", type=Path, required=True, help="model.onnx and tokenizer.json of all-MiniLM-L6-v2")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"), help="data.noun and so on (Debian: wordnet-base)")
    parser.add_argument("--cache", type=Path, default=Path(".cache/classifier"))
    parser.add_argument("--output", type=Path, default=HERE)
    options = parser.parse_args()
    began = time.monotonic()
    say = lambda what: print(f"[{(time.monotonic() - began) / 60:5.1f} min] {what}", flush=True)

    say("texts and the encoder's vectors")
    texts, rows = load(options.data, options.encoder, options.wordnet, options.cache)
    left: dict[str, list[Outputs]] = {head: [] for head in HEADS}
    for families in data.FOLDS:
        say(f"without {', '.join(families)}")
        fit = Fit(texts, rows, families)
        for head, outputs in outputs_of(fit, texts, rows, families, lambda row: row.family in families).items():
            left[head].append(outputs)
    say("with everything")
    fit = Fit(texts, rows, [])
    val = outputs_of(fit, texts, rows, [], lambda row: row.split == "val")

    say("calibration, files")
    joined = {head: join(parts) for head, parts in left.items()}
    fitted = {head: clear(outputs) for head, outputs in joined.items()}
    small = {head: Calibration(head, ["small"], outputs) for head, outputs in fitted.items()}
    both = {head: Calibration(head, ["encoder", "small"], outputs) for head, outputs in fitted.items()}
    thresholds = {head: 0.5 for head in HEADS} | {"jailbreak": threshold(small["jailbreak"], joined["jailbreak"])}
    name = export.write(options.output / "model.onnx", fit.params, fit.bytes, fit.scale, texts.pieces,
                        {head: c.numbers for head, c in small.items()}, thresholds)
    export_encoder_heads(options.output / "encoder-heads.json", options.output / "model.onnx", name, fit, small, both)
    parity(options.output / "parity.jsonl", options.output / "model.onnx", texts.pieces)
    (options.output / "REPORT.md").write_text(report.write(name, left, val, fitted, thresholds))
    say(f"done: {name}")


def export_encoder_heads(target: Path, model_file: Path, name: str, fit, small, both) -> None:
    """Linear heads on the encoder's vector. Their logits join the log-probabilities of the small model with fixed shares."""
    heads = []
    for head in SIDECAR:
        model, labels = fit.encoder[head], data.LABELS[head]
        weights, bias = model.coef_, model.intercept_
        if len(labels) == 2:
            weights, bias = np.stack([np.zeros_like(weights[0]), weights[0]]), np.array([0.0, bias[0]])
        # The small model's probabilities are calibrated already: its share is told in terms of those.
        encoder_share, small_share = both[head].numbers[0], both[head].numbers[1] / small[head].numbers[0]
        offset = 0.0 if head == "category" else both[head].numbers[2] - small_share * small[head].numbers[1]
        heads.append({"name": head, "labels": labels, "encoder_share": round(float(encoder_share), 5), "small_share": round(float(small_share), 5),
                      "offset": round(float(offset), 5), "weights": [[round(float(x), 5) for x in row] for row in weights],
                      "bias": [round(float(x), 5) for x in bias]})
    file = {"format": 1, "model": name, "encoder": "all-MiniLM-L6-v2", "heads": heads}
    file["probes"] = probes(file, model_file, fit.texts.teacher_model, fit.texts.pieces)
    target.write_text(json.dumps(file) + "\n")


def probes(file: dict, model_file: Path, teacher, pieces: list[str]) -> list[dict]:
    """What the heads say of a few texts: the sidecar compares at its start, and trusts no other encoder."""
    session, cut, found = onnxruntime.InferenceSession(str(model_file), providers=["CPUExecutionProvider"]), tokenizer(pieces), []
    for text, vector in zip(PROBES, teacher.vectors(PROBES)):
        ids = cut.encode(text, add_special_tokens=False).ids
        scores = {}
        for head in file["heads"]:
            (ours,) = session.run([head["name"]], {"tokens": np.array(ids, np.int64)})
            logits = head["encoder_share"] * (np.array(head["weights"]) @ vector + head["bias"]) + head["small_share"] * np.log(ours.clip(1e-6))
            logits[-1] += head["offset"]
            e = np.exp(logits - logits.max())
            scores[head["name"]] = [round(float(x), 4) for x in e / e.sum()]
        found.append({"text": text, "scores": scores})
    return found


if __name__ == "__main__":
    main()
