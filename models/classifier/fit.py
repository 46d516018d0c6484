"""Texts to windows, tokens and teacher vectors; one training; its predictions. Used by train.py for every fold and for the whole."""

import collections
import string
import warnings
from pathlib import Path

import jax
import numpy as np
from sklearn.linear_model import LogisticRegression
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

import data
import net
import wordnet
from teacher import WINDOW, Teacher

warnings.filterwarnings("ignore", category=UserWarning)
warnings.filterwarnings("ignore", category=FutureWarning)
PIECES = 24_000
DIM = 128
HIDDEN = 192
HEADS = list(data.LABELS)
# Rows of a batch for each head, in the order of HEADS, and rows that only follow the teacher.
ROWS = {"category": 96, "jailbreak": 96, "toxicity": 64, "complexity": 48, "fresh": 32}
FOLLOW = 320
# Rows of a batch that are attacks within ordinary text, and as many of ordinary text alone.
AMONG = 20
LOSS = {"category": 1.0, "jailbreak": 1.0, "toxicity": 1.0, "complexity": 0.6, "fresh": 1.0}
EPOCHS = 2.5
# Tokens that the filter reads at once; windows overlap by a half.
READ = 32
# The more windows a text has, the likelier one of them looks like an attack by chance: what each e-fold of them takes from the
# logit of the highest. Chosen on val so that texts of 1,500 tokens raise about as few false alarms as short ones at the same recall.
MANY_WINDOWS = 0.25
# Heads for which the encoder's own head is a teacher too, on texts without a label.
SOFT = ["category", "fresh"]
# "A mid-size model failed" is a poor sign of a hard question: these rows count little.
NOISY = ("routellm_mmlu", "routellm_gsm8k")


def tokenizer(pieces: list[str]) -> Tokenizer:
    """The reference of filters/classify/src/model/wordpiece.rs. No word is too long to be cut."""
    made = Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]", max_input_chars_per_word=100_000))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return made


def vocabulary(teacher: Teacher, texts: list[str]) -> list[str]:
    """The teacher's word pieces that matter: Latin script, by use in the texts, then by their rank in BERT's vocabulary."""
    known = teacher.tokenizer.get_vocab()
    counts: collections.Counter = collections.Counter()
    for encoded in teacher.tokenizer.encode_batch(texts, add_special_tokens=False):
        counts.update(set(encoded.tokens))

    def latin(piece: str) -> bool:
        return not piece.startswith("[") or piece == "["

    usable = [p for p in known if latin(p) and all(ord(c) < 0x250 for c in p.removeprefix("##"))]
    chosen = dict.fromkeys(p for p in usable if len(p.removeprefix("##")) == 1 and p.isascii())
    for piece in sorted(usable, key=lambda p: (-counts[p] * 3 - (30522 - known[p]) / 1500, known[p])):
        if len(chosen) == PIECES - 2:
            break
        chosen[piece] = None
    return ["[PAD]", "[UNK]"] + sorted(chosen, key=known.__getitem__)


class Texts:
    """Everything that is the same for all trainings."""

    def __init__(self, teacher: Teacher, rows: list[data.Row], glosses: list[tuple[str, str | None]]) -> None:
        self.windows = {row.text: None for row in rows}
        for text in self.windows:
            self.windows[text] = teacher.windows(text)
        texts = list(dict.fromkeys(window for windows in self.windows.values() for window in windows))
        self.labelled = len(texts)
        self.number = {text: i for i, text in enumerate(texts)}
        texts += [text for text, _ in glosses]
        self.topics = [(self.labelled + i, data.CATEGORIES.index(c)) for i, (_, c) in enumerate(glosses) if c]
        self.texts = texts
        print(f"{len(rows)} rows, {self.labelled} windows, {len(glosses)} glosses", flush=True)
        self.teacher_model = teacher
        self.teacher = teacher.vectors(texts)
        self.pieces = vocabulary(teacher, texts[: self.labelled : 2])
        self.tokens = np.zeros((len(texts), WINDOW), np.int32)
        self.lengths = np.zeros(len(texts), np.int32)
        counts = np.zeros(len(self.pieces))
        for i, encoded in enumerate(tokenizer(self.pieces).encode_batch(texts, add_special_tokens=False)):
            ids = encoded.ids[:WINDOW]
            self.tokens[i, : len(ids)] = ids
            self.lengths[i] = len(ids)
            counts[ids] += 1
        # Rare words say more (smooth inverse frequency, Arora et al. 2017).
        self.piece_weights = 1e-3 / (1e-3 + counts / counts.sum())
        words = teacher.vectors([p.removeprefix("##") for p in self.pieces])
        words = words - words.mean(0)
        _, _, axes = np.linalg.svd(words, full_matrices=False)
        first = words @ axes[:DIM].T
        self.piece_vectors = first * (0.3 / np.sqrt((first**2).mean()))

    def pack(self, rows: list[data.Row], most: int) -> tuple[np.ndarray, np.ndarray]:
        """The windows of rows, and the row of each."""
        pairs = [(self.number[window], i) for i, row in enumerate(rows) for window in self.windows[row.text][:most]]
        packed = np.array(pairs, np.int64).reshape(-1, 2)
        return packed[:, 0], packed[:, 1]


def row_weights(rows: list[data.Row]) -> np.ndarray:
    """Large sources and large labels count less than their size, more than one row."""
    groups = collections.Counter((row.family, row.label) for row in rows)
    weights = np.array([groups[row.family, row.label] ** -0.5 for row in rows])
    labels = np.array([row.label for row in rows])
    weights *= np.bincount(labels, weights=weights)[labels] ** -0.5
    weights *= np.array([0.1 if row.source in NOISY else 1.0 for row in rows])
    return weights / weights.mean()


def encoder_head(texts: Texts, windows: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> LogisticRegression:
    """Logistic regression on the encoder's vectors: the sidecar's head, and a teacher of the small model."""
    return LogisticRegression(C=3.0, max_iter=150).fit(texts.teacher[windows], labels, sample_weight=weights)


class Fit:
    """One training of everything, without the families in `left_out`."""

    def __init__(self, texts: Texts, rows: list[data.Row], left_out: list[str], seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.texts = texts
        drawn, self.encoder = {}, {}
        for head in HEADS:
            use = [row for row in rows if row.head == head and row.family not in left_out and row.split == "train"]
            windows, owner = texts.pack(use, 3)
            labels = np.array([row.label for row in use])[owner]
            weights = (row_weights(use) / np.bincount(owner))[owner]
            self.encoder[head] = encoder_head(texts, windows, labels, weights)
            share = weights / weights.sum()
            if head == "category":
                extra = np.array(texts.topics)
                windows, labels = np.concatenate([windows, extra[:, 0]]), np.concatenate([labels, extra[:, 1]])
                share = np.concatenate([share * 0.94, np.full(len(extra), 0.06 / len(extra))])
            drawn[head] = (windows, labels, np.cumsum(share))
        soft = {head: self.encoder[head].predict_proba(texts.teacher).astype(np.float32) for head in SOFT}
        attack, ordinary = (drawn["jailbreak"][0][drawn["jailbreak"][1] == label] for label in (1, 0))
        attack = attack[texts.lengths[attack] < 60]
        used = np.unique(np.concatenate([windows for windows, _, _ in drawn.values()]))
        used = used[used < texts.labelled]
        glosses = np.arange(texts.labelled, len(texts.texts))

        def among_ordinary(count: int, with_attack: bool) -> np.ndarray:
            """Windows of ordinary text, in which an attack stands somewhere or does not."""
            made = np.zeros((count, WINDOW), np.int32)
            for row in made:
                words = lambda i: texts.tokens[i, : texts.lengths[i]]
                inner = words(rng.choice(attack))[: READ - 2] if with_attack else np.zeros(0, np.int32)
                around = np.concatenate([words(i) for i in rng.choice(ordinary, 4)])
                first = rng.integers(0, max(len(around) - READ, 1))
                around = around[first : first + rng.integers(0 if with_attack else READ // 4, READ - len(inner) + 1)]
                cut = rng.integers(0, len(around) + 1)
                line = np.concatenate([around[:cut], inner, around[cut:]])
                row[: len(line)] = line
            return made

        sizes = [ROWS[head] for head in HEADS]
        start = sum(sizes[: HEADS.index("jailbreak")])

        def batch(_: int):
            picked, labels = [], []
            for head in HEADS:
                windows, known, shares = drawn[head]
                at = np.searchsorted(shares, rng.random(ROWS[head])).clip(0, len(windows) - 1)
                picked.append(windows[at])
                labels.append(known[at])
            follow = np.concatenate([rng.choice(used, FOLLOW // 2), rng.choice(glosses, FOLLOW // 2)])
            rows = np.concatenate(picked + [follow])
            tokens = texts.tokens[rows]
            # A part of a text has the label of the whole: the filter reads parts.
            for row in np.flatnonzero((texts.lengths[rows[: sum(sizes)]] > READ) & (rng.random(sum(sizes)) < 0.6)):
                first = rng.integers(0, texts.lengths[rows[row]] - READ + 1)
                part = tokens[row, first : first + READ].copy()
                tokens[row] = 0
                tokens[row, :READ] = part
            tokens[start : start + AMONG] = among_ordinary(AMONG, True)
            tokens[start + AMONG : start + 2 * AMONG] = among_ordinary(AMONG, False)
            labels[HEADS.index("jailbreak")][: 2 * AMONG] = [1] * AMONG + [0] * AMONG
            dropped = rng.random(tokens.shape) < 0.1
            dropped[:, 0] = False
            keep = ((rng.random((len(rows), HIDDEN)) > 0.3) / 0.7).astype(np.float32)
            return np.where(dropped, 0, tokens), labels, texts.teacher[rows], {h: p[follow] for h, p in soft.items()}, keep

        outputs = {head: len(labels) for head, labels in data.LABELS.items()}
        params = net.init(seed, texts.piece_vectors, texts.piece_weights, HIDDEN, outputs, texts.teacher.shape[1])
        params = net.distil(params, texts.tokens, texts.lengths, texts.teacher, np.concatenate([used, glosses]), seed)
        steps = int(EPOCHS * len(used) / (sum(sizes) + FOLLOW))
        params = net.train(params, batch, steps, HEADS, LOSS, sizes)
        self.params = jax.tree.map(np.asarray, params)
        self.quantise()

    def quantise(self) -> None:
        """Vectors as int8 with one scale a dimension; the few numbers beyond the scale are cut."""
        vectors = self.params["vectors"]
        self.scale = (np.quantile(np.abs(vectors), 0.9995, axis=0) / 127).astype(np.float32)
        self.bytes = np.clip(np.round(vectors / self.scale), -127, 127).astype(np.int8)
        self.params["vectors"] = self.bytes.astype(np.float32) * self.scale

    def logits(self, windows: np.ndarray) -> dict[str, np.ndarray]:
        """Of the small model, by head: f32 [windows, labels], as the filter reads them: READ tokens at once."""
        found: dict[str, list[np.ndarray]] = {head: [] for head in HEADS}
        for first in range(0, WINDOW - READ + 1, READ // 2):
            read = self.texts.tokens[windows, first : first + READ]
            # The last part begins where the one before has its middle, unless that one saw the end.
            there = (self.texts.lengths[windows] > first + READ // 2) if first else np.ones(len(windows), bool)
            for head, out in self._forward(read).items():
                found[head].append(np.where(there[:, None], out, np.nan))
        return {head: _highest(np.stack(parts)) if head in data.GUARDS else np.nanmean(np.stack(parts), 0) for head, parts in found.items()}

    def reads(self, windows: np.ndarray) -> np.ndarray:
        """How many times the filter reads in each."""
        return 1 + np.maximum(-(-(self.texts.lengths[windows] - READ) // (READ // 2)), 0)

    def _forward(self, tokens: np.ndarray) -> dict[str, np.ndarray]:
        parts = []
        for start in range(0, len(tokens), 1024):
            padded = np.zeros((1024, tokens.shape[1]), np.int32)
            part = tokens[start : start + 1024]
            padded[: len(part)] = part
            padded[:, 0] = np.maximum(padded[:, 0], 1)
            parts.append({head: np.asarray(out)[: len(part)] for head, out in _logits(self.params, padded).items()})
        return {head: np.concatenate([part[head] for part in parts]) for head in HEADS}

    def encoder_logits(self, head: str, windows: np.ndarray) -> np.ndarray:
        """Of the encoder's head: f32 [windows, labels]."""
        return np.log(self.encoder[head].predict_proba(self.texts.teacher[windows]).clip(1e-6)).astype(np.float32)


def _highest(parts: np.ndarray) -> np.ndarray:
    """The part with the highest finding: f32 [parts, windows, 2] -> [windows, 2]."""
    best = np.nanargmax(parts[:, :, 1] - parts[:, :, 0], axis=0)
    return parts[best, np.arange(parts.shape[1])]


@jax.jit
def _logits(params: dict, tokens: jax.Array) -> dict[str, jax.Array]:
    read, _ = net.features(params, tokens)
    return {head: read @ p["w"] + p["b"] for head, p in params["heads"].items()}


def load(data_folder: Path, encoder: Path, wordnet_folder: Path, cache: Path) -> tuple[Texts, list[data.Row]]:
    rows = data.rows(data_folder)
    teacher = Teacher(encoder, cache / "teacher")
    return Texts(teacher, rows, wordnet.read(wordnet_folder)), rows
