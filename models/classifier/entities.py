#!/usr/bin/env python3
"""Trains the entity head: which words name a person, an organisation, a place or an address. Measured on sources left out.

    entities.py --data FOLDER [--wordnet FOLDER] [--output FOLDER]

Writes names.onnx (filters) and ENTITIES.md into the output folder. Two minutes on two cores.

A word is judged by itself and two neighbours on each side. Each of the five is its static vector in model.onnx, projected to
a few numbers, its shape, and whether it is among 60,000 names of persons and places (Faker, WordNet), kept as a Bloom filter.
"""

import argparse
import json
import random
import re
import unicodedata
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import optax
from faker import Faker
from onnx import TensorProto, helper, numpy_helper

import own
from fit import tokenizer

HERE = Path(__file__).parent
LABELS = ["O", "PERSON", "ORGANIZATION", "GPE", "STREET_ADDRESS"]
LOCALES = ["en_US", "en_GB", "en_IN", "en_AU", "de_DE", "fr_FR", "es_ES", "es_MX", "it_IT", "pt_BR", "nl_NL", "sv_SE", "no_NO",
           "da_DK", "fi_FI", "pl_PL", "cs_CZ", "hu_HU", "ro_RO", "hr_HR", "tr_TR", "id_ID", "vi_VN", "en_NZ", "en_IE", "fr_CA"]
SIDE = 2  # neighbours on each side
PROJECTED = 16
HIDDEN = 48
SHAPES = 14
BITS_A_NAME = 12  # of a Bloom filter, at least
HASHES = 4
THRESHOLD = 0.6  # from which a run of words is a finding
SHIPPED = ["PERSON", "GPE", "STREET_ADDRESS"]  # organisations are found too badly on left-out sources
DIGITS = "0123456789"
LISTS = ["given", "family", "place", "ordinary"]
STREET = ("street st road rd avenue ave lane ln drive dr boulevard blvd court ct place pl square sq way terrace parkway highway hwy apt suite "
          "floor unit box strasse straße str platz weg allee rue place avenue chemin calle avenida plaza via viale piazza straat laan rua ulica").split()


def words(text: str) -> list[tuple[int, int]]:
    """Runs of letters and digits, single other characters, runs of line breaks. Spaces part words."""
    found, start = [], None
    for i, c in enumerate(text):
        if c.isalnum():
            start = i if start is None else start
            continue
        if c in "'’" and start is not None and i + 1 < len(text) and text[i + 1].isalpha() and text[i - 1].isalpha():
            continue
        if start is not None:
            found.append((start, i))
            start = None
        if c == "\n":
            if not (found and text[found[-1][0]] == "\n" and found[-1][1] == i):
                found.append((i, i + 1))
            else:
                found[-1] = (found[-1][0], i + 1)
        elif not c.isspace():
            found.append((i, i + 1))
    if start is not None:
        found.append((start, len(text)))
    return found


def fnv(text: str) -> int:
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


class Bloom:
    def __init__(self, names: set[str]) -> None:
        self.bits = 1 << (BITS_A_NAME * len(names) - 1).bit_length()
        self.bytes = np.zeros(self.bits // 8, np.uint8)
        for name in names:
            for bit in self.places(name):
                self.bytes[bit >> 3] |= 1 << (bit & 7)

    def places(self, name: str) -> list[int]:
        value = fnv(name)
        first, second = value & 0xFFFFFFFF, value >> 32 | 1
        return [(first + k * second) % self.bits for k in range(HASHES)]

    def __contains__(self, name: str) -> bool:
        return all(self.bytes[bit >> 3] >> (bit & 7) & 1 for bit in self.places(name))


def latin(name: str) -> bool:
    return all(ord(c) < 0x250 for c in name)


def gazetteers(wordnet: Path) -> dict[str, set[str]]:
    """Single words, lower case: given names, family names, words of places; those among them that are ordinary words too."""
    found: dict[str, set[str]] = {"given": set(), "family": set(), "place": set()}

    def put(kind: str, names) -> None:
        for name in names:
            for word in re.split(r"[\s_-]+", name):
                if len(word) > 1 and latin(word) and word[0].isupper():
                    found[kind].add(word.lower())

    for locale in LOCALES:
        made = Faker(locale)
        made.seed_instance(1)
        for provider in made.get_providers():
            for attribute in dir(provider):
                if attribute.startswith("first_names"):
                    put("given", getattr(provider, attribute) or [])
                elif attribute.startswith("last_names"):
                    put("family", getattr(provider, attribute) or [])
                elif attribute in ("cities", "city_names", "countries", "states", "provinces", "regions", "towns"):
                    value = getattr(provider, attribute)
                    put("place", [x if isinstance(x, str) else str(x[-1]) for x in value if isinstance(x, (str, tuple, list))])
    ordinary = set()
    for part in ("noun", "verb", "adj", "adv"):
        for line in (wordnet / f"index.{part}").open():
            ordinary.add(line.split(" ", 1)[0])
    proper = set()
    with (wordnet / "data.noun").open() as lines:
        for line in lines:
            if line.startswith("  "):
                continue
            fields = line.split(" | ", 1)[0].split()
            proper.update(word.lower() for word in fields[4 : 4 + 2 * int(fields[3], 16) : 2] if word[0].isupper())
            if " @i " in line and fields[1] in ("15", "18"):
                count = int(fields[3], 16)
                names = [fields[4 + 2 * k].split("(")[0] for k in range(count)]
                if fields[1] == "15":
                    put("place", names)
                else:
                    put("family", [name.split("_")[-1] for name in names])
                    put("given", [name.split("_")[0] for name in names if "_" in name])
    small = {"the", "of", "new", "north", "south", "east", "west", "and", "de", "la", "st", "saint", "great", "united", "city", "river", "lake", "island",
             "islands", "mount", "bay", "sea", "state", "republic", "gulf", "cape", "ocean", "of", "in", "on", "is", "it", "to", "am", "an", "as", "at"}
    found = {kind: names - small for kind, names in found.items()}
    # WordNet's index is in lower case: a word of which some entry is a proper noun is no ordinary word.
    found["ordinary"] = set().union(*found.values()) & (ordinary - proper)
    return found


class Reader:
    """Features of the words of a text."""

    def __init__(self, model: Path, lists: dict[str, set[str]]) -> None:
        file = onnx.load(model)
        properties = {p.key: p.value for p in file.metadata_props}
        arrays = {i.name: numpy_helper.to_array(i) for i in file.graph.initializer}
        self.id = json.loads(properties["turnpike"])["id"]
        self.tokenizer = tokenizer(properties["vocabulary"].split("\n"))
        self.vectors = arrays["vectors"].astype(np.float32) * arrays["vector_scale"]
        self.lists = [Bloom(lists[kind]) for kind in LISTS]
        self.known: dict[str, np.ndarray] = {}

    def vector(self, word: str) -> np.ndarray:
        if word not in self.known:
            ids = self.tokenizer.encode(word, add_special_tokens=False).ids
            self.known[word] = self.vectors[ids].mean(0) if ids else np.zeros(self.vectors.shape[1], np.float32)
        return self.known[word]

    def shape(self, text: str, all_words: list[tuple[int, int]], at: int) -> list[float]:
        word = text[slice(*all_words[at])]
        before = text[slice(*all_words[at - 1])] if at else "\n"
        low = word.lower().split("'")[0].split("’")[0]
        upper = sum(c.isupper() for c in word)
        letters = sum(c.isalpha() for c in word)
        # `rose` is no name, `Rose` may be one.
        given, family, place = (word[0].isalnum() and (upper > 0 or low not in self.lists[3])) * np.array([low in names for names in self.lists[:3]])
        return [
            letters > 0 and upper == 0, word[0].isupper() and upper < max(letters, 2), upper > 1 and upper == letters,
            any(c in DIGITS for c in word), word[0] == "\n", not word[0].isalnum() and word[0] != "\n", before[0] in ".!?:\n\"“>*-•", letters == 1 and upper == 1,
            given, family, place, low in STREET, min(len(word), 12) / 12, before[0] == "@",
        ]

    def read(self, text: str) -> tuple[list[tuple[int, int]], np.ndarray, np.ndarray]:
        """Words, vectors [n, D], shapes [n, SHAPES]."""
        found = words(text)
        vectors = np.stack([self.vector(text[a:b]) for a, b in found]) if found else np.zeros((0, self.vectors.shape[1]), np.float32)
        return found, vectors, np.array([self.shape(text, found, i) for i in range(len(found))], np.float32).reshape(-1, SHAPES)


def candidates(shapes: np.ndarray) -> np.ndarray:
    """Words that may be part of a name: with a capital letter or a digit, or in a list of given names or places."""
    return (shapes[:, 1] + shapes[:, 2] + shapes[:, 3] + shapes[:, 8] + shapes[:, 9] + shapes[:, 10] + shapes[:, 11]) > 0


def window(values: np.ndarray) -> np.ndarray:
    """[n, K] -> [n, 2 SIDE + 1, K], zeros beyond the ends."""
    padded = np.pad(values, ((SIDE, SIDE), (0, 0)))
    return np.stack([padded[k : k + len(values)] for k in range(2 * SIDE + 1)], 1)


def init(seed: int, dim: int) -> dict:
    keys = jax.random.split(jax.random.key(seed), 3)
    width = (2 * SIDE + 1) * (PROJECTED + SHAPES)
    return {"project": jax.random.normal(keys[0], (dim, PROJECTED)) * dim**-0.5,
            "hidden_w": jax.random.normal(keys[1], (width, HIDDEN)) * width**-0.5, "hidden_b": jnp.zeros(HIDDEN),
            "out_w": jax.random.normal(keys[2], (HIDDEN, len(LABELS))) * HIDDEN**-0.5, "out_b": jnp.zeros(len(LABELS))}


def forward(params: dict, vectors: jax.Array, shapes: jax.Array, keep: jax.Array | float = 1.0) -> jax.Array:
    """[n, 5, D], [n, 5, SHAPES] -> logits [n, labels]."""
    read = jnp.concatenate([vectors @ params["project"], shapes], -1).reshape(len(vectors), -1)
    return (jax.nn.relu(read @ params["hidden_w"] + params["hidden_b"]) * keep) @ params["out_w"] + params["out_b"]


class Rows:
    """Words of texts with their labels. `known`: what the labels cover. "all"; "persons": a word without a label may be anything but
    a person; "none": a word that is in a list of names may be a person or a place, any other word is nothing."""

    def __init__(self, reader: Reader, texts: list[tuple[str, list[tuple[int, int, str]]]], known: str = "all", precision=np.float16) -> None:
        self.texts, vectors, shapes, labels, owner = [], [], [], [], []
        for number, (text, spans) in enumerate(texts):
            found, v, s = reader.read(text)
            self.texts.append((text, found, spans))
            kinds = [next((LABELS.index(kind) for a, b, kind in spans if a < end and start < b and kind in LABELS), 0) for start, end in found]
            vectors.append(window(v))
            shapes.append(window(s))
            labels += kinds
            owner += [number] * len(found)
        self.vectors, self.shapes = np.concatenate(vectors).astype(precision), np.concatenate(shapes)
        self.labels, self.owner = np.array(labels), np.array(owner)
        self.use = candidates(self.shapes[:, SIDE])
        # Labels that hold or may hold, as far as is known.
        self.may = np.eye(len(LABELS), dtype=np.float32)[self.labels]
        if known == "persons":
            self.may[self.labels == 0] = [1, 0, 1, 1, 1]
        elif known == "none":
            self.may[self.shapes[:, SIDE, 8:11].any(1)] = [1, 1, 0, 1, 0]


def fit(parts: list[tuple[Rows, float]], seed: int = 0, steps: int = 3000, batch: int = 1024) -> dict:
    rng = np.random.default_rng(seed)
    vectors, shapes, may, weight = [], [], [], []
    for rows, share in parts:
        use = np.flatnonzero(rows.use)
        vectors.append(rows.vectors[use]); shapes.append(rows.shapes[use]); may.append(rows.may[use])
        weight.append(np.full(len(use), share / len(use)))
    vectors, shapes, may = map(np.concatenate, (vectors, shapes, may))
    shares = np.cumsum(np.concatenate(weight)); shares /= shares[-1]
    params = init(seed, vectors.shape[2])
    optimizer = optax.adamw(optax.warmup_cosine_decay_schedule(0, 3e-3, 100, steps, 1e-4), weight_decay=1e-2)
    state = optimizer.init(params)

    def loss(params, v, s, m, keep):
        chance = jax.nn.softmax(forward(params, v, s, keep))
        return -jnp.log((chance * m).sum(1) * 0.98 + 0.02 / len(LABELS)).mean()

    @jax.jit
    def step(params, state, *rows):
        value, gradient = jax.value_and_grad(loss)(params, *rows)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, value

    for number in range(steps):
        at = np.searchsorted(shares, rng.random(batch)).clip(0, len(may) - 1)
        s = shapes[at].copy()
        # A name need not be in a list: lists are forgotten for some words.
        s[:, :, 8:11] *= rng.random((batch, 2 * SIDE + 1, 1)) > 0.25
        v = vectors[at].astype(np.float32) * (rng.random((batch, 2 * SIDE + 1, 1)) > 0.1)
        keep = ((rng.random((batch, HIDDEN)) > 0.2) / 0.8).astype(np.float32)
        params, state, _ = step(params, state, v, s, may[at], keep)
    return jax.tree.map(np.asarray, params)


def predict(params: dict, rows: Rows) -> np.ndarray:
    logits = np.concatenate([np.asarray(_forward(params, rows.vectors[i : i + 8192].astype(np.float32), rows.shapes[i : i + 8192])) for i in range(0, len(rows.labels), 8192)])
    found = np.exp(logits - logits.max(1, keepdims=True))
    found /= found.sum(1, keepdims=True)
    found[~rows.use] = np.eye(len(LABELS))[0]
    return found


_forward = jax.jit(forward)


def spans(text: str, found: list[tuple[int, int]], chance: np.ndarray, threshold: float) -> list[tuple[int, int, str, float]]:
    """Runs of words with the same label. A run goes over one small word or sign between two of its words. An address has a digit and
    a word."""
    label = np.where(chance[:, 0] > 0.5, 0, 1 + chance[:, 1:].argmax(1))
    out, i = [], 0
    while i < len(found):
        kind = label[i]
        if not kind:
            i += 1
            continue
        end = i + 1
        while end < len(found):
            if label[end] == kind:
                end += 1
            elif end + 1 < len(found) and label[end + 1] == kind and not label[end] and text[slice(*found[end])].lower() in GLUE[LABELS[kind]]:
                end += 2
            else:
                break
        start, stop = found[i][0], found[end - 1][1]
        sure = float(chance[i:end][label[i:end] == kind, kind].mean())
        whole = any(c in DIGITS for c in text[start:stop]) and any(len(text[slice(*f)]) > 2 and text[f[0]].isalpha() for f in found[i:end])
        if sure >= threshold and (LABELS[kind] != "STREET_ADDRESS" or whole):
            out.append((start, stop, LABELS[kind], sure))
        i = end
    return out


GLUE = {"PERSON": {"-", ".", "'", "de", "van", "von", "der", "da", "la", "al"}, "ORGANIZATION": {"and", "&", "-", ",", ".", "of", "the"},
        "GPE": {"-", "of", "and", "the", "de", "."}, "STREET_ADDRESS": {",", ".", "-", "\n", "de", "la", "der", "of", "/", "#"}}


def score(params: dict, rows: Rows, kinds: list[str], threshold: float = 0.5) -> dict[str, tuple[float, float, float, int]]:
    """By kind: precision, recall and F1 of spans that overlap (presidio-research counts so), and their number."""
    chance = predict(params, rows)
    at, hits, found, wanted, recalled = 0, dict.fromkeys(kinds, 0), dict.fromkeys(kinds, 0), dict.fromkeys(kinds, 0), dict.fromkeys(kinds, 0)
    for text, pieces, truth in rows.texts:
        got = spans(text, pieces, chance[at : at + len(pieces)], threshold)
        at += len(pieces)
        for kind in kinds:
            mine, theirs = [g for g in got if g[2] == kind], [t for t in truth if t[2] == kind]
            touch = lambda a, b: a[0] < b[1] and b[0] < a[1]
            hits[kind] += sum(any(touch(g, t) for t in theirs) for g in mine)
            recalled[kind] += sum(any(touch(g, t) for g in mine) for t in theirs)
            found[kind] += len(mine)
            wanted[kind] += len(theirs)
    out = {}
    for kind in kinds:
        p, r = hits[kind] / max(found[kind], 1), recalled[kind] / max(wanted[kind], 1)
        out[kind] = (p, r, 2 * p * r / max(p + r, 1e-9), wanted[kind])
    return out


def labelled(file: Path) -> list[tuple[str, list[tuple[int, int, str]]]]:
    rows = [json.loads(line) for line in file.open()]
    return [(row["text"], [(e["start"], e["end"], e["type"]) for e in row["entities"]]) for row in rows]


def written(count: int, seed: int) -> list[tuple[str, list[tuple[int, int, str]]]]:
    """Texts of own/entities.txt, with names of many countries."""
    lists, writer, chance = own.lists("entities.txt"), own.Writer(seed), random.Random(seed)
    makers = [Faker(locale) for locale in LOCALES]
    for maker in makers:
        maker.seed_instance(seed)
    kinds = {"person": "PERSON", "given": "PERSON", "family": "PERSON", "org": "ORGANIZATION", "place": "GPE", "address": "STREET_ADDRESS"}

    def value(slot: str) -> str:
        made = chance.choice(makers) if chance.random() < 0.6 else makers[chance.randrange(2)]
        if slot == "person":
            return f"{made.first_name()} {made.last_name()}"
        if slot == "place":
            return chance.choice([made.city, lambda: makers[0].country(), made.city])()
        if slot == "address":
            return made.street_address().replace("\n", ", ")
        return {"given": made.first_name, "family": made.last_name, "org": made.company}[slot]()

    out = []
    while len(out) < count:
        pattern = writer.random.choice(lists["with"] if len(out) % 3 else lists["without"])
        while choice := own.CHOICE.search(pattern):
            pattern = pattern[: choice.start()] + writer.random.choice(choice[1].split("|")) + pattern[choice.end() :]
        text, marks = "", []
        low = chance.random() < 0.12
        for part in re.split(r"(<[a-z]+>)", pattern):
            if part.strip("<>") in kinds and part.startswith("<"):
                put = value(part[1:-1])
                if not latin(put):
                    put = unicodedata.normalize("NFKD", put).encode("ascii", "ignore").decode() or "Maria"
                marks.append((len(text), len(text) + len(put), kinds[part[1:-1]]))
                part = put
            text += part
        if low and len(text.lower()) == len(text):
            text = text.lower()
        out.append((text, marks))
    return out


def ordinary(data: Path, files: list[str]) -> list[tuple[str, list]]:
    """Texts of other sources, in which nobody marked names."""
    found = []
    for name in files:
        texts = [json.loads(line)["text"] for line in (data / f"{name}.jsonl").open()]
        random.Random(9).shuffle(texts)
        found += [(text[:600], []) for text in texts[:2500]]
    return found


def write(target: Path, reader: Reader, params: dict) -> None:
    """The weights and lists, and the graph from vectors and shapes to logits."""
    count, dim = 2 * SIDE + 1, reader.vectors.shape[1]
    arrays = {name: np.ascontiguousarray(value, np.float32) for name, value in params.items()}
    arrays |= {name: bloom.bytes.view(np.int8) for name, bloom in zip(LISTS, reader.lists)}
    arrays["flat"] = np.array([-1, count * (PROJECTED + SHAPES)], np.int64)
    nodes = [helper.make_node("MatMul", ["vectors", "project"], ["projected"]),
             helper.make_node("Concat", ["projected", "shapes"], ["both"], axis=2), helper.make_node("Reshape", ["both", "flat"], ["read"]),
             helper.make_node("Gemm", ["read", "hidden_w", "hidden_b"], ["sum"]), helper.make_node("Relu", ["sum"], ["hidden"]),
             helper.make_node("Gemm", ["hidden", "out_w", "out_b"], ["logits"])]
    graph = helper.make_graph(nodes, "names", [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["words", count, dim]),
                                               helper.make_tensor_value_info("shapes", TensorProto.FLOAT, ["words", count, SHAPES])],
                              [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["words", len(LABELS)])],
                              [numpy_helper.from_array(value, name) for name, value in arrays.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], producer_name="turnpike")
    model.ir_version = 8
    about = {"format": 1, "model": reader.id, "labels": LABELS, "shipped": SHIPPED, "threshold": THRESHOLD, "street": sorted(set(STREET)),
             "glue": {kind: sorted(words) for kind, words in GLUE.items()}}
    helper.set_model_props(model, {"turnpike": json.dumps(about)})
    onnx.checker.check_model(model)
    onnx.save(model, str(target))


def table(title: str, found: dict[str, tuple[float, float, float, int]]) -> str:
    lines = [f"\n{title}:\n", "| kind | spans | precision | recall | F1 |", "|---|---|---|---|---|"]
    return "\n".join(lines + [f"| {k} | {n} | {p:.3f} | {r:.3f} | {f:.3f} |" for k, (p, r, f, n) in found.items()]) + "\n"


ORDINARY = ["domain.mmlu_pro", "domain.devmix", "toxicity.wikipedia", "fresh.clinc150"]
ORDINARY_TEST = ["domain.mmlu", "jailbreak.benign", "complexity.chat_proxy", "harmful.harmfulqa"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of labelled .jsonl files")
    parser.add_argument("--wordnet", type=Path, default=Path("/usr/share/wordnet"))
    parser.add_argument("--output", type=Path, default=HERE)
    options = parser.parse_args()
    lists = gazetteers(options.wordnet)
    print({kind: len(names) for kind, names in lists.items()}, flush=True)
    reader = Reader(options.output / "model.onnx", lists)
    presidio = labelled(options.data / "pii.presidio_v2.jsonl") + labelled(options.data / "pii.presidio_large.jsonl")
    sources = {"presidio": Rows(reader, presidio), "wnut17": Rows(reader, labelled(options.data / "pii.wnut17_person.jsonl"), "persons"),
               "own": Rows(reader, written(12_000, 5)), "ordinary": Rows(reader, ordinary(options.data, ORDINARY), "none")}
    train = lambda names: fit([(sources[name], 2.0 if name == "ordinary" else 1.0) for name in names])
    page = f"""# Figures of the names in `{reader.id}`

Written by entities.py. A finding counts where it touches a marked span of its kind (as presidio-research counts). Threshold {THRESHOLD}.
"""
    for left, title in [("wnut17", "wnut17 (tweets and comments) left out; only persons are marked in it"), ("presidio", "presidio-research left out")]:
        kinds = ["PERSON"] if left == "wnut17" else LABELS[1:]
        page += table(title, score(train([name for name in sources if name != left]), sources[left], kinds, THRESHOLD))
    params = train(sources)
    page += table("Own sentences that were not in the training, other names; they flatter", score(params, Rows(reader, written(1_500, 77)), LABELS[1:], THRESHOLD))
    page += "\nTexts of sources that were not in the training and in which nobody marked names, with a finding:\n\n| source | texts | " + " | ".join(SHIPPED) + " |\n"
    page += "|---|---|" + "---|" * len(SHIPPED) + "\n"
    for name in ORDINARY_TEST:
        rows = Rows(reader, ordinary(options.data, [name]))
        chance, at, counts = predict(params, rows), 0, dict.fromkeys(SHIPPED, 0)
        for text, pieces, _ in rows.texts:
            for kind in {found[2] for found in spans(text, pieces, chance[at : at + len(pieces)], THRESHOLD)} & set(SHIPPED):
                counts[kind] += 1
            at += len(pieces)
        page += f"| {name} | {len(rows.texts)} | " + " | ".join(f"{counts[k] / len(rows.texts):.3f}" for k in SHIPPED) + " |\n"
    page += "\nORGANIZATION is learned and not reported by the filter.\n"
    write(options.output / "names.onnx", reader, params)
    (options.output / "ENTITIES.md").write_text(page)
    rows = Rows(reader, written(300, 99), precision=np.float32)
    chance, at = predict(params, rows), 0
    with (options.output / "names-parity.jsonl").open("w") as file:
        for text, pieces, _ in rows.texts:
            got = [s for s in spans(text, pieces, chance[at : at + len(pieces)], THRESHOLD) if s[2] in SHIPPED]
            at += len(pieces)
            byte = lambda i: len(text[:i].encode())
            line = {"text": text, "found": [{"type": k, "start": byte(a), "end": byte(b), "score": round(p, 4)} for a, b, k, p in got]}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
    print(page)


if __name__ == "__main__":
    main()
