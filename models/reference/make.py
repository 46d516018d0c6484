#!/usr/bin/env python3
"""Makes the reference models and what PyTorch computes with them: the sidecar's tests compare themselves with that.

    make.py [SOURCE]

SOURCE holds the original all-MiniLM-L6-v2 (model.safetensors, config.json, tokenizer.json); by default
.cache/models/source. Every other model is made here: a tiny tokenizer from the sentences in texts.py, random weights,
and Optimum's export to ONNX. Everything is seeded and nothing is downloaded. README.md describes the files.

Each ONNX file must give what PyTorch gives, to TOLERANCE, one text at a time and as a padded batch; else this fails.
"""

import json
import math
import os
import re
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import onnx
import onnxruntime
import torch
import transformers
from optimum.exporters.onnx import main_export
from sentence_transformers import SentenceTransformer
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

import texts

HERE = Path(__file__).resolve().parent
TOLERANCE = 1e-4
SEED = 7
# Large enough that texts differ clearly in what a model says of them; the usual 0.02 gives nearly constant outputs.
STD = 0.3
DIGITS = 7
SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "initializer_range": STD}
KEPT = ["config.json", "generation_config.json", "model.onnx"]

# How Qwen and Llama 3 part a text into words; they differ in how many digits stay together.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


# --- files


def write_json(path: Path, value) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def write_lines(path: Path, lines: list[dict]) -> None:
    path.write_text("".join(json.dumps(line, ensure_ascii=False, separators=(",", ":")) + "\n" for line in lines))


def rounded(values) -> list[float]:
    return [round(float(value), DIGITS) for value in values]


def fresh(name: str) -> Path:
    """An empty output folder."""
    shutil.rmtree(HERE / name, ignore_errors=True)
    (HERE / name).mkdir()
    return HERE / name


# --- tokenizers


def byte_level(digits: str, vocabulary: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    words = pre_tokenizers.Split(Regex(WORDS.replace("DIGITS", digits)), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator(texts.SENTENCES, trainer)
    return tokenizer


def qwen3_tokenizer() -> transformers.PreTrainedTokenizerFast:
    tokenizer = byte_level(r"\p{N}", 340)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    # As in Qwen3: tokens of their own, but not special ones, so that a user's text can hold them.
    tokenizer.add_tokens([AddedToken(content, normalized=False) for content in ("<think>", "</think>")])
    return transformers.Qwen2TokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=None,
        bos_token=None,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_max_length=2048,
        chat_template=(HERE / "templates/qwen3.jinja").read_text().rstrip("\n"),
    )


def llama_tokenizer() -> transformers.PreTrainedTokenizerFast:
    tokenizer = byte_level(r"\p{N}{1,3}", 340)
    begin = "<|begin_of_text|>"
    tokenizer.add_special_tokens(
        [begin, "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    )
    template = processors.TemplateProcessing(f"{begin} $A", special_tokens=[(begin, tokenizer.token_to_id(begin))])
    tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    # As Llama 3: without a token for padding.
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=begin,
        eos_token="<|eot_id|>",
        model_max_length=2048,
        model_input_names=["input_ids", "attention_mask"],
        chat_template=(HERE / "templates/llama.jinja").read_text().rstrip("\n"),
    )


def frequent(tokenizer: Tokenizer, inner: str, number: int) -> list[tuple[str, int]]:
    """Every character of the sentences' words, then the most useful whole words and runs of two or three characters,
    with counts; `inner` marks what does not begin a word. The library's own trainers for Unigram and WordPiece give
    another result each time."""
    counts: Counter[str] = Counter()
    for sentence in texts.SENTENCES:
        normal = tokenizer.normalizer.normalize_str(sentence)
        for word, _ in tokenizer.pre_tokenizer.pre_tokenize_str(normal):
            for start in range(len(word)):
                for end in {*range(start + 1, min(start + 3, len(word)) + 1), *([len(word)] if start == 0 else [])}:
                    counts[(inner if start else "") + word[start:end]] += 1
    lengths = {piece: len(piece.removeprefix(inner)) for piece in counts}
    single = sorted(piece for piece in counts if lengths[piece] == 1)
    longer = [piece for piece, count in counts.items() if lengths[piece] > 1 and count > 1]
    longer.sort(key=lambda piece: (-counts[piece] * (lengths[piece] - 1), piece))
    return [(piece, counts[piece]) for piece in single + longer[:number]]


def xlm_roberta_tokenizer() -> transformers.PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.decoder = decoders.Metaspace()
    special = ["<s>", "<pad>", "</s>", "<unk>"]
    counted = frequent(tokenizer, "", 150)
    total = sum(count for _, count in counted)
    # Rounded: the logarithm's last digit is the mathematics library's.
    scored = [(piece, round(math.log(count / total), DIGITS)) for piece, count in counted]
    tokenizer.model = models.Unigram([*((token, 0.0) for token in special), *scored], special.index("<unk>"))
    tokenizer.add_special_tokens(special)
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True, special=True)])
    ids = [(token, tokenizer.token_to_id(token)) for token in ("<s>", "</s>")]
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A </s>", "<s> $A </s> </s> $B </s>", ids)
    return transformers.XLMRobertaTokenizerFast(tokenizer_object=tokenizer, model_max_length=64)


def modernbert_tokenizer() -> transformers.PreTrainedTokenizerFast:
    tokenizer = byte_level(r"\p{N}+", 300)
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.add_special_tokens(["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"])
    ids = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", ids)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        model_max_length=128,
        model_input_names=["input_ids", "attention_mask"],
    )


def bert_tokenizer() -> transformers.PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = special + [piece for piece, _ in frequent(tokenizer, "##", 120)]
    tokenizer.model = models.WordPiece({piece: i for i, piece in enumerate(vocabulary)}, unk_token="[UNK]")
    tokenizer.add_special_tokens(special)
    ids = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ids)
    return transformers.BertTokenizerFast(tokenizer_object=tokenizer, do_lower_case=True, model_max_length=64)


def roberta_tokenizer() -> transformers.PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    # First, as in RoBERTa: the number of <pad> says how many positions are not used.
    special = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=320, initial_alphabet=alphabet, special_tokens=special, show_progress=False
    )
    tokenizer.train_from_iterator(texts.SENTENCES, trainer)
    ends = [(token, tokenizer.token_to_id(token)) for token in ("</s>", "<s>")]
    tokenizer.post_processor = processors.RobertaProcessing(*ends, trim_offsets=True, add_prefix_space=False)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        cls_token="<s>",
        sep_token="</s>",
        pad_token="<pad>",
        mask_token="<mask>",
        model_max_length=128,
        model_input_names=["input_ids", "attention_mask"],
    )


# --- export


def shorten_names(path: Path) -> None:
    """Numbers what is inside of the graph: a third of so small a file is the long names of its intermediate values."""
    model = onnx.load(path)
    graph = model.graph
    fixed = {value.name for value in [*graph.input, *graph.output, *graph.initializer]}
    names: dict[str, str] = {}
    for node in graph.node:
        if any(attribute.HasField("g") for attribute in node.attribute):
            raise SystemExit(f"{path}: {node.name} has a graph inside, whose names would not be found")
        node.name = node.doc_string = ""
        for values in (node.input, node.output):
            for i, value in enumerate(values):
                if value and value not in fixed:
                    values[i] = names.setdefault(value, f"t{len(names)}")
    del graph.value_info[:]
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def export(model, tokenizer, target: Path, task: str) -> onnxruntime.InferenceSession:
    # What an earlier call of the tokenizer switched on would be saved with it.
    tokenizer.backend_tokenizer.no_padding()
    tokenizer.backend_tokenizer.no_truncation()
    with tempfile.TemporaryDirectory() as folder:
        source, exported = Path(folder, "source"), Path(folder, "exported")
        for part in (model, tokenizer):
            part.save_pretrained(source, **({} if part is model else {"save_jinja_files": False}))
        main_export(str(source), output=exported, task=task, library_name="transformers", do_validation=False)
        for name in KEPT:
            if (exported / name).exists():
                shutil.copyfile(exported / name, target / name)
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copyfile(source / name, target / name)
    shorten_names(target / "model.onnx")
    return open_session(target)


def open_session(folder: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])


# --- checks


def close(what: str, left, right) -> None:
    difference = float(np.abs(np.asarray(left) - np.asarray(right)).max())
    if not difference < TOLERANCE:
        raise SystemExit(f"{what}: differs by {difference:.1e}")
    print(f"{what}: largest difference {difference:.1e}")


def varied(what: str, outputs) -> None:
    """A model that says the same of every text would let a wrong implementation pass."""
    outputs = np.asarray(outputs)
    spread = float((outputs.max(0) - outputs.min(0)).max())
    if spread < 0.2:
        raise SystemExit(f"{what}: outputs differ by {spread:.3f} between the texts")
    print(f"{what}: outputs differ by up to {spread:.3f} between the texts")


def check_encoder(session: onnxruntime.InferenceSession, model, tokenizer, batch: list, length: int) -> None:
    """ONNX against PyTorch, one text or pair at a time, then all of them as one batch padded on the right."""
    name = type(model).__name__
    inputs = [value.name for value in session.get_inputs()]
    alone, differences = [], []
    columns = [[text] if isinstance(text, str) else list(text) for text in batch]
    for row in columns:
        encoded = tokenizer(*row, truncation=True, max_length=length, return_tensors="pt")
        with torch.no_grad():
            expected = model(**encoded)[0].numpy()
        alone.append(session.run(None, {key: encoded[key].numpy() for key in inputs})[0])
        differences.append(float(np.abs(alone[-1] - expected).max()))
    close(f"{name}, one text at a time", differences, np.zeros(len(batch)))
    encoded = tokenizer(
        *map(list, zip(*columns)),
        truncation=True,
        max_length=length,
        padding=True,
        padding_side="right",
        return_tensors="np",
    )
    together = session.run(None, {key: encoded[key] for key in inputs})[0]
    # A model of tokens has a row for each of them, padding included; a model of sequences has one row.
    rows = [row[: one.shape[1]] if one.ndim == 3 else row for row, one in zip(together, alone)]
    differences = [float(np.abs(row - one[0]).max()) for row, one in zip(rows, alone)]
    close(f"{name}, padded batch", differences, np.zeros(len(batch)))


def check_decoder(session: onnxruntime.InferenceSession, model, prefix: list[int], prompts: list[list[int]]) -> None:
    """The prefix once; then what follows it as one batch padded on the right, with the prefix's keys and values."""
    name = type(model).__name__
    config = model.config
    keys = [value.name for value in session.get_inputs() if value.name.startswith("past_key_values.")]
    with torch.no_grad():
        expected = [model(torch.tensor([ids])).logits[0].numpy() for ids in prompts]

    def run(ids: np.ndarray, mask: np.ndarray, past: list[np.ndarray]) -> list[np.ndarray]:
        start = past[0].shape[2]
        positions = np.broadcast_to(start + np.arange(ids.shape[1]), ids.shape)
        feeds = {"input_ids": ids, "attention_mask": mask, "position_ids": positions, **dict(zip(keys, past))}
        # The outputs' order is that of the inputs: logits, then key and value of each layer.
        return session.run(["logits", *(key.replace("past_key_values", "present") for key in keys)], feeds)

    nothing = [np.zeros((1, config.num_key_value_heads, 0, config.head_dim), np.float32)] * len(keys)
    differences = []
    for ids, logits in zip(prompts, expected):
        alone = run(np.array([ids]), np.ones((1, len(ids)), np.int64), nothing)[0][0]
        differences.append(float(np.abs(alone - logits).max()))
    close(f"{name}, whole prompts", differences, np.zeros(len(prompts)))

    _, *past = run(np.array([prefix]), np.ones((1, len(prefix)), np.int64), nothing)
    rest = [ids[len(prefix) :] for ids in prompts]
    longest = max(map(len, rest))
    pad = model.config.pad_token_id or 0
    ids = np.array([row + [pad] * (longest - len(row)) for row in rest])
    mask = np.array([[1] * (len(prefix) + len(row)) + [0] * (longest - len(row)) for row in rest])
    logits = run(ids, mask, [np.repeat(value, len(rest), 0) for value in past])[0]
    differences = [
        float(np.abs(logits[row, : len(rest[row])] - expected[row][len(prefix) :]).max()) for row in range(len(rest))
    ]
    close(f"{name}, prefix kept and padded batch", differences, np.zeros(len(rest)))


# --- sentence embeddings


def sentence_folder(folder: Path, pooling: str, dim: int, length: int, prompts: dict[str, str]) -> None:
    """The files that Sentence Transformers puts beside a model."""
    modes = {"cls_token": "cls", "mean_tokens": "mean", "max_tokens": "max", "mean_sqrt_len_tokens": "mean_sqrt_len"}
    flags = {f"pooling_mode_{name}": short == pooling for name, short in modes.items()}
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    (folder / "1_Pooling").mkdir(exist_ok=True)
    write_json(folder / "1_Pooling/config.json", {"word_embedding_dimension": dim, **flags})
    write_json(
        folder / "modules.json",
        [
            {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for i, (kind, path) in enumerate(modules)
        ],
    )
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": length, "do_lower_case": False})
    write_json(folder / "config_sentence_transformers.json", {"prompts": prompts, "default_prompt_name": None})


def minilm(source: Path) -> None:
    target = fresh("minilm")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in ("model.safetensors", "config.json"):
            shutil.copyfile(source / file, folder / file)
        transformers.BertTokenizerFast(
            tokenizer_file=str(source / "tokenizer.json"), do_lower_case=True, model_max_length=256
        ).save_pretrained(folder)
        sentence_folder(folder, "mean", 384, 256, {})
        model = SentenceTransformer(str(folder), device="cpu")
    # One at a time: no padding takes part in what is expected.
    vectors = model.encode(texts.MINILM, batch_size=1)
    close("MiniLM, padded batch", model.encode(texts.MINILM, batch_size=len(texts.MINILM)), vectors)
    counts = [len(model.tokenizer(text, truncation=True, max_length=256)["input_ids"]) for text in texts.MINILM]
    if max(counts) != 256:
        raise SystemExit("no text reaches past the window")
    write_lines(
        target / "expected.jsonl",
        [
            {"text": text, "tokens": count, "embedding": rounded(vector)}
            for text, count, vector in zip(texts.MINILM, counts, vectors)
        ],
    )


def xlm_roberta() -> None:
    target = fresh("xlm-roberta")
    tokenizer = xlm_roberta_tokenizer()
    config = transformers.XLMRobertaConfig(
        vocab_size=len(tokenizer),
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        bos_token_id=tokenizer.bos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **SIZES,
    )
    model = transformers.XLMRobertaModel(config).eval()
    session = export(model, tokenizer, target, "feature-extraction")
    prompts = {"query": "query: ", "passage": "passage: "}
    sentence_folder(target, "cls", config.hidden_size, 64, prompts)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "model")
        shutil.copytree(target, folder)
        model.save_pretrained(folder)
        sentences = SentenceTransformer(str(folder), device="cpu")
    lines = []
    for text in texts.SENTENCE:
        for prompt in (None, *prompts):
            vector = sentences.encode([text], prompt_name=prompt)[0]
            lines.append({"text": text, "prefix": prompts.get(prompt, ""), "embedding": rounded(vector)})
    write_lines(target / "expected.jsonl", lines)
    varied("xlm-roberta", [line["embedding"] for line in lines])
    prefixed = [prefix + text for prefix in ("", *prompts.values()) for text in texts.SENTENCE]
    check_encoder(session, model, tokenizer, prefixed, 64)


# --- classification


def classify(name: str, model, tokenizer, batch: list[str], length: int, activation) -> None:
    target = fresh(name)
    session = export(model, tokenizer, target, "text-classification")
    check_encoder(session, model, tokenizer, batch, length)
    lines = []
    for text in batch:
        encoded = tokenizer(text, return_tensors="pt")
        if encoded["input_ids"].shape[1] > length:
            raise SystemExit(f"{name}: a text is longer than the window")
        with torch.no_grad():
            scores = activation(model(**encoded).logits[0])
        lines.append({"text": text, "probabilities": dict(zip(model.config.id2label.values(), rounded(scores)))})
    write_lines(target / "expected.jsonl", lines)
    varied(name, [list(line["probabilities"].values()) for line in lines])


def labels(names: list[str]) -> dict:
    return {"id2label": dict(enumerate(names)), "label2id": {name: i for i, name in enumerate(names)}}


def modernbert_topic() -> None:
    tokenizer = modernbert_tokenizer()
    config = transformers.ModernBertConfig(
        vocab_size=len(tokenizer),
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=128,
        # One layer sees everything, the next one only the tokens near by.
        global_attn_every_n_layers=2,
        local_attention=16,
        classifier_pooling="mean",
        reference_compile=False,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id,
        cls_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id,
        sep_token_id=tokenizer.sep_token_id,
        **labels(["billing", "refund", "other"]),
        **SIZES,
    )
    model = transformers.ModernBertForSequenceClassification(config).eval()
    classify("modernbert-topic", model, tokenizer, texts.TOPIC, 128, lambda logits: logits.softmax(-1))


def bert_config(tokenizer, names: list[str], **more) -> transformers.BertConfig:
    return transformers.BertConfig(
        vocab_size=len(tokenizer),
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=64,
        pad_token_id=tokenizer.pad_token_id,
        **labels(names),
        **SIZES,
        **more,
    )


def multilabel() -> None:
    tokenizer = bert_tokenizer()
    config = bert_config(tokenizer, ["insult", "threat"], problem_type="multi_label_classification")
    model = transformers.BertForSequenceClassification(config).eval()
    with torch.no_grad():
        # The pooled vector varies little in so small a model: its differences are stretched, its mean is taken away.
        model.classifier.weight.mul_(3)
        mean = torch.cat([model(**tokenizer(text, return_tensors="pt")).logits for text in texts.COMMENTS]).mean(0)
        model.classifier.bias.copy_(-mean)
    classify("multilabel", model, tokenizer, texts.COMMENTS, 64, torch.sigmoid)


def judge(name: str, model, tokenizer, length: int, activation) -> None:
    """A model that reads two texts, in both orders: their tokens with type ids, and the probability of each label."""
    target = fresh(name)
    session = export(model, tokenizer, target, "text-classification")
    batch = [pair for a, b in texts.PAIRS for pair in ((a, b), (b, a))]
    check_encoder(session, model, tokenizer, batch, length)
    lines = []
    for a, b in batch:
        encoded = tokenizer(a, b, return_tensors="pt", return_token_type_ids=True)
        ids, types = (encoded[key][0].tolist() for key in ("input_ids", "token_type_ids"))
        if len(ids) > length:
            raise SystemExit(f"{name}: a pair is longer than the window")
        if "token_type_ids" not in tokenizer.model_input_names:
            encoded.pop("token_type_ids")
        with torch.no_grad():
            scores = activation(model(**encoded).logits[0])
        probabilities = dict(zip(model.config.id2label.values(), rounded(scores)))
        lines.append({"a": a, "b": b, "input_ids": ids, "token_type_ids": types, "probabilities": probabilities})
    write_lines(target / "expected.jsonl", lines)
    scores = np.asarray([list(line["probabilities"].values()) for line in lines])
    varied(name, scores)
    # So that a test can tell the two orders apart.
    orders = float(np.abs(scores[0::2] - scores[1::2]).max())
    if orders < 0.05:
        raise SystemExit(f"{name}: the orders of a pair differ by {orders:.3f}")
    print(f"{name}: the orders of a pair differ by up to {orders:.3f}")


def stretch(linear, model, tokenizer) -> None:
    """Stretches what the last layer tells apart and takes its mean away: so small a model's vectors vary little."""
    with torch.no_grad():
        linear.weight.mul_(3)
        logits = [model(**tokenizer(a, b, return_tensors="pt")).logits for a, b in texts.PAIRS]
        linear.bias.copy_(linear.bias - torch.cat(logits).mean(0))


def bert_duplicate() -> None:
    tokenizer = bert_tokenizer()
    # One score, as sentence-transformers trains a CrossEncoder.
    model = transformers.BertForSequenceClassification(bert_config(tokenizer, ["LABEL_0"])).eval()
    stretch(model.classifier, model, tokenizer)
    judge("bert-duplicate", model, tokenizer, 64, torch.sigmoid)


def roberta_nli() -> None:
    tokenizer = roberta_tokenizer()
    config = transformers.RobertaConfig(
        vocab_size=len(tokenizer),
        num_attention_heads=2,
        intermediate_size=48,
        max_position_embeddings=130,
        type_vocab_size=1,
        layer_norm_eps=1e-5,
        bos_token_id=tokenizer.cls_token_id,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.sep_token_id,
        **labels(["contradiction", "entailment", "neutral"]),
        **SIZES,
    )
    model = transformers.RobertaForSequenceClassification(config).eval()
    stretch(model.classifier.out_proj, model, tokenizer)
    judge("roberta-nli", model, tokenizer, 128, lambda logits: logits.softmax(-1))


def fit(model, tokenizer) -> None:
    """Fits the model to texts.NAMES and texts.ADDRESSES, so that entities of several tokens stand among O.

    Not to the end: its mistakes make entities that begin within a word, change their kind, or begin without a B.
    """
    encoded = tokenizer(texts.PII, padding=True, return_tensors="pt", return_offsets_mapping=True)
    offsets = encoded.pop("offset_mapping").tolist()
    targets = torch.zeros_like(encoded["input_ids"])
    for row, text in enumerate(texts.PII):
        for kind, spans in (("PERSON", texts.NAMES), ("EMAIL", texts.ADDRESSES)):
            for match in re.finditer("|".join(map(re.escape, spans)), text):
                for column, (start, end) in enumerate(offsets[row]):
                    if match.start() <= start < end <= match.end():
                        begin = "B" if start == match.start() else "I"
                        targets[row, column] = model.config.label2id[f"{begin}-{kind}"]
    used = encoded["attention_mask"] == 1
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(**encoded).logits[used], targets[used]).backward()
        optimizer.step()


def bert_pii() -> None:
    target = fresh("bert-pii")
    tokenizer = bert_tokenizer()
    config = bert_config(tokenizer, ["O", "B-PERSON", "I-PERSON", "B-EMAIL", "I-EMAIL"])
    model = transformers.BertForTokenClassification(config).eval()
    fit(model, tokenizer)
    session = export(model, tokenizer, target, "token-classification")
    check_encoder(session, model, tokenizer, texts.PII, 64)
    pipeline = transformers.TokenClassificationPipeline(
        model=model, tokenizer=tokenizer, aggregation_strategy="simple", device="cpu"
    )
    lines, margins = [], []
    for text in texts.PII:
        encoded = tokenizer(text, return_tensors="pt", return_offsets_mapping=True)
        offsets = encoded.pop("offset_mapping")[0].tolist()
        with torch.no_grad():
            scores = model(**encoded).logits[0].softmax(-1)
        best = scores.topk(2).values
        margins.append(float((best[:, 0] - best[:, 1]).min()))
        tokens = [
            {"label": config.id2label[int(row.argmax())], "score": round(float(row.max()), DIGITS), "start": a, "end": b}
            for row, (a, b), special in zip(scores, offsets, encoded.encodings[0].special_tokens_mask)
            if not special
        ]
        entities = [
            {
                "entity_group": entity["entity_group"],
                "score": round(float(entity["score"]), DIGITS),
                "start": entity["start"],
                "end": entity["end"],
            }
            for entity in pipeline(text)
        ]
        lines.append({"text": text, "tokens": tokens, "entities": entities})
    found = [token["label"] for line in lines for token in line["tokens"]]
    within = [
        sum(entity["start"] <= token["start"] < entity["end"] for token in line["tokens"])
        for line in lines
        for entity in line["entities"]
    ]
    outside, several = found.count("O") / len(found), sum(count > 1 for count in within)
    # A smaller one could turn into another label on another machine.
    margin = min(margins)
    if margin < 10 * TOLERANCE:
        raise SystemExit(f"bert-pii: a token's two best labels are only {margin:.1e} apart")
    print(f"bert-pii: {outside:.0%} of {len(found)} tokens are O, {several} of {len(within)} entities have several tokens")
    if not 0.3 < outside < 0.85 or several < 5 or set(found) != set(config.id2label.values()):
        raise SystemExit("bert-pii: too few of one kind of token")
    write_lines(target / "expected.jsonl", lines)


# --- decoders


def pieces(tokenizer, instruction: str) -> tuple[list[int], list[int]]:
    """Token numbers of what the chat template puts before and behind the user's text."""
    sentinel = "@@TEXT@@"
    messages = [{"role": "system", "content": instruction}, {"role": "user", "content": sentinel}]
    rendered = tokenizer.apply_chat_template(
        messages, tokenize=False, add_generation_prompt=True, enable_thinking=False
    )
    prefix, tail = rendered.split(sentinel)
    return tuple(tokenizer.encode(piece, add_special_tokens=False) for piece in (prefix, tail))


def ordinary(tokenizer, text: str) -> list[int]:
    """Token numbers of a text in which the names of special tokens are nothing but text."""
    backend = tokenizer.backend_tokenizer
    backend.encode_special_tokens = True
    ids = backend.encode(text, add_special_tokens=False).ids
    backend.encode_special_tokens = False
    if set(ids) & set(tokenizer.all_special_ids):
        raise SystemExit("a special token came out of a user's text")
    return ids


def label_probabilities(model, prompt: list[int], paths: list[list[int]], end: int) -> list[float]:
    """Constrained decoding: at each node of the labels' trie, softmax over the tokens with which it goes on."""
    result = [1.0] * len(paths)

    def walk(path: list[int], members: list[int]) -> None:
        branches: dict[int, list[int]] = {}
        for member in members:
            rest = paths[member][len(path) :]
            branches.setdefault(rest[0] if rest else end, []).append(member)
        if len(branches) > 1:
            with torch.no_grad():
                logits = model(torch.tensor([prompt + path]), use_cache=False).logits[0, -1]
            chances = logits[list(branches)].double().softmax(-1)
            for chance, group in zip(chances, branches.values()):
                for member in group:
                    result[member] *= float(chance)
        for token, group in branches.items():
            if len(path) < len(paths[group[0]]):
                walk([*path, token], group)

    walk([], list(range(len(paths))))
    return result


def decoder(name: str, model, tokenizer) -> None:
    target = fresh(name)
    session = export(model, tokenizer, target, "text-generation-with-past")
    prefix, tail = pieces(tokenizer, texts.INSTRUCTION)
    prompts = [prefix + ordinary(tokenizer, text) + tail for text in texts.CHAT]
    check_decoder(session, model, prefix, prompts)
    paths = [[tokenizer.encode(label, add_special_tokens=False) for label in each] for each in texts.LABELS]
    first = {path[0] for path in paths[1][:3]}
    if len({path[0] for path in paths[0]}) != 4 or len(first) != 1 or paths[2][1][: len(paths[2][0])] != paths[2][0]:
        raise SystemExit(f"{name}: the labels' tokens are not what texts.py says of them: {paths}")
    print(f"{name}: labels' tokens {paths}, prompts of {min(map(len, prompts))} to {max(map(len, prompts))} tokens")
    lines = []
    for text, prompt in zip(texts.CHAT, prompts):
        for names, each in zip(texts.LABELS, paths):
            chances = label_probabilities(model, prompt, each, tokenizer.eos_token_id)
            lines.append(
                {
                    "instruction": texts.INSTRUCTION,
                    "text": text,
                    "labels": names,
                    "probabilities": rounded(chances),
                    "prompt_ids": prompt,
                }
            )
    write_lines(target / "expected.jsonl", lines)
    for start in range(len(texts.LABELS)):
        varied(f"{name}, labels {texts.LABELS[start]}", [line["probabilities"] for line in lines[start :: len(paths)]])


def decoder_sizes(tokenizer) -> dict:
    return {
        "vocab_size": len(tokenizer),
        "intermediate_size": 48,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 2048,
        "tie_word_embeddings": True,
        "bos_token_id": tokenizer.bos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        **SIZES,
    }


def qwen3() -> None:
    tokenizer = qwen3_tokenizer()
    end, over = (tokenizer.convert_tokens_to_ids(token) for token in ("<|im_end|>", "<|endoftext|>"))
    config = transformers.Qwen3Config(rope_theta=1e6, eos_token_id=end, **decoder_sizes(tokenizer))
    model = transformers.Qwen3ForCausalLM(config).eval()
    model.generation_config.eos_token_id = [end, over]
    decoder("qwen3", model, tokenizer)


def llama() -> None:
    tokenizer = llama_tokenizer()
    ends = [tokenizer.convert_tokens_to_ids(token) for token in ("<|end_of_text|>", "<|eot_id|>")]
    config = transformers.LlamaConfig(rope_theta=5e5, eos_token_id=ends, **decoder_sizes(tokenizer))
    model = transformers.LlamaForCausalLM(config).eval()
    decoder("llama", model, tokenizer)


def main(source: Path) -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    minilm(source)
    for make in (qwen3, llama, xlm_roberta, modernbert_topic, bert_pii, multilabel, bert_duplicate, roberta_nli):
        # Each by itself, so that a change of one leaves the others' numbers alone.
        torch.manual_seed(SEED)
        make()
    for folder in sorted(path.parent for path in HERE.glob("*/expected.jsonl")):
        print(f"{folder.name}: {sum(path.stat().st_size for path in folder.rglob('*') if path.is_file())} bytes")


if __name__ == "__main__":
    if len(sys.argv) > 2:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]) if len(sys.argv) == 2 else HERE.parents[1] / ".cache/models/source")
