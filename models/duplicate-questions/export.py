#!/usr/bin/env python3
"""Writes the cross-encoder as an ONNX graph: the encoder's weights with what training changed of them.

    export.py SOURCE ADAPTER TARGET

SOURCE holds model.safetensors, config.json and tokenizer.json of all-MiniLM-L6-v2, ADAPTER is the file that train.py wrote; TARGET receives
model.onnx, tokenizer.json and config.json, as `semantic_cache.second_opinion.path` wants them.

Graph (opset 17), its layers those of ../encoder/export_onnx.py:
    input_ids       i64 [batch, seq]  token numbers: [CLS] first question [SEP] second question [SEP]
    attention_mask  i64 [batch, seq]  1 = token, 0 = padding
    token_type_ids  i64 [batch, seq]  0 up to the first [SEP], 1 behind it
    logits          f32 [batch, 1]    log-odds that both questions may have one answer
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from safetensors.numpy import load_file

sys.path.insert(0, str(Path(__file__).parent.parent / "encoder"))
from export_onnx import IR_VERSION, OPSET, Bert  # noqa: E402

# Tokens of the longest pair that it was trained on; of a longer one it has no opinion.
MAX_TOKENS = 128
LABEL = "same"


def changed(weights: dict[str, np.ndarray], adapter: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """`weights` with what `adapter` says: `NAME.left` @ `NAME.right` is added, any other takes the place of its name."""
    found = dict(weights)
    for name, value in adapter.items():
        matrix, _, side = name.rpartition(".")
        if side == "left":
            found[matrix] = weights[matrix] + value.astype(np.float32) @ adapter[f"{matrix}.right"].astype(np.float32)
        elif side != "right":
            found[name] = value
    return found


class CrossEncoder(Bert):
    """The encoder with types of tokens, and a score in place of vectors."""

    def __init__(self, source: Path, adapter: Path) -> None:
        super().__init__(source)
        self.weights = changed(self.weights, load_file(adapter))

    def embeddings(self) -> str:
        g, w = self.graph, self.weights
        words = g.op("Gather", g.constant("words", w["embeddings.word_embeddings.weight"]), "input_ids")
        types = g.op("Gather", g.constant("types", w["embeddings.token_type_embeddings.weight"]), "token_type_ids")
        seq = g.op("Shape", "input_ids", start=1, end=2)
        first, axis = g.constant("first", np.array([0], np.int64)), g.constant("axis", np.array([0], np.int64))
        rows = g.op("Slice", g.constant("positions", w["embeddings.position_embeddings.weight"]), first, seq, axis)
        return self.layer_norm(g.op("Add", g.op("Add", words, rows), types), "embeddings.LayerNorm")

    def score(self, x: str) -> str:
        """The linear map of the first vector beside the mean of all that are no padding."""
        g, w = self.graph, self.weights
        mask = g.op("Cast", "attention_mask", to=TensorProto.FLOAT)
        column = g.op("Unsqueeze", mask, g.constant("last_axis", np.array([2], np.int64)))
        tokens = g.constant("token_axis", np.array([1], np.int64))
        mean = g.op("Div", g.op("ReduceSum", g.op("Mul", x, column), tokens), g.op("ReduceSum", column, tokens))
        first = g.op("Gather", x, g.constant("zero", np.array([0], np.int64)), axis=1)
        score = self.linear(g.op("Concat", first, mean, axis=2), "classifier", w["classifier.weight"][None, :], w["classifier.bias"])
        return g.op("Squeeze", score, tokens)

    def model(self) -> onnx.ModelProto:
        g = self.graph
        x, padding_scores = self.embeddings(), self.padding_scores()
        for number in range(self.layers):
            x = self.layer(x, f"encoder.layer.{number}", padding_scores)
        g.op("Identity", self.score(x), outputs=["logits"])
        inputs = ["input_ids", "attention_mask", "token_type_ids"]
        graph = helper.make_graph(
            g.nodes,
            "duplicate-questions",
            [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "seq"]) for name in inputs],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])],
            list(g.initializers.values()),
        )
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="turnpike")


def main(source: Path, adapter: Path, target: Path) -> None:
    model = CrossEncoder(source, adapter).model()
    onnx.checker.check_model(model, full_check=True)
    target.mkdir(parents=True, exist_ok=True)
    onnx.save(model, target / "model.onnx")
    shutil.copyfile(source / "tokenizer.json", target / "tokenizer.json")
    config = json.loads((source / "config.json").read_text())
    config |= {
        "architectures": ["BertForSequenceClassification"],
        "id2label": {"0": LABEL},
        "label2id": {LABEL: 0},
        "max_position_embeddings": MAX_TOKENS,
    }
    (target / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n")
    print(f"{target}/model.onnx: {(target / 'model.onnx').stat().st_size} bytes, {len(model.graph.node)} nodes")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    main(*map(Path, sys.argv[1:]))
