#!/usr/bin/env python3
"""Writes a BERT encoder's safetensors weights as an ONNX graph, without torch.

    export_onnx.py SOURCE TARGET

SOURCE holds model.safetensors, config.json, tokenizer.json and 1_Pooling/config.json, as sentence-transformers writes
them; TARGET receives model.onnx and copies of the other three.

Graph (opset 17):
    input_ids          i64 [batch, seq]       token numbers
    attention_mask     i64 [batch, seq]       1 = token, 0 = padding
    last_hidden_state  f32 [batch, seq, dim]  rows of padding hold numbers without meaning

1. Word embedding + position embedding + the embedding of token type 0, LayerNorm.
2. Per layer: self-attention, Add, LayerNorm, two linear maps with exact GELU between, Add, LayerNorm.

Query, key and value are one matrix product, and the 1/sqrt(head size) of attention is folded into the query's weights.
Everything else keeps the form that ONNX Runtime's graph optimiser knows (Gelu by Erf, Add + LayerNormalization).

Not done here: pooling and normalisation (the sidecar's), token type 1, relative positions, a sequence longer than the
position table (ONNX Runtime reports a shape error).
"""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

OPSET = 17
# ONNX's IR version that came with opset 17; older runtimes read it too.
IR_VERSION = 8
# Added to the attention score of padding. Its exponential is 0 in f32, and it stays finite when scores are added.
PADDING_SCORE = np.float32(-1e9)


class Graph:
    """Collects nodes and initializers; every method returns the name of what it made."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def op(self, kind: str, *inputs: str, outputs: list[str] | None = None, **attributes) -> str:
        outputs = outputs or [f"{kind}_{len(self.nodes)}"]
        self.nodes.append(helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes))
        return outputs[0]

    def constant(self, name: str, value: np.ndarray) -> str:
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name


class Bert:
    """One encoder: its configuration, its weights and the graph being written."""

    def __init__(self, source: Path) -> None:
        config = json.loads((source / "config.json").read_text())
        expected = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
        for key, value in expected.items():
            if config.get(key, value) != value:
                raise SystemExit(f"{source}/config.json: {key} is {config[key]!r}, only {value!r} is supported")
        self.weights = load_file(source / "model.safetensors")
        self.dim: int = config["hidden_size"]
        self.heads: int = config["num_attention_heads"]
        self.layers: int = config["num_hidden_layers"]
        self.epsilon: float = config["layer_norm_eps"]
        self.graph = Graph()

    def linear(self, x: str, name: str, weight: np.ndarray, bias: np.ndarray) -> str:
        """`x` @ `weight`ᵀ + `bias`; safetensors keeps a linear map's weight as [out, in]."""
        g = self.graph
        product = g.op("MatMul", x, g.constant(f"{name}.weight", weight.T))
        return g.op("Add", product, g.constant(f"{name}.bias", bias))

    def layer_norm(self, x: str, prefix: str) -> str:
        g = self.graph
        scale = g.constant(f"{prefix}.weight", self.weights[f"{prefix}.weight"])
        bias = g.constant(f"{prefix}.bias", self.weights[f"{prefix}.bias"])
        return g.op("LayerNormalization", x, scale, bias, axis=-1, epsilon=self.epsilon)

    def gelu(self, x: str) -> str:
        """x · ½ · (1 + erf(x / √2)), in the order of operations that ONNX Runtime fuses."""
        g = self.graph
        erf = g.op("Erf", g.op("Div", x, g.constant("sqrt2", np.float32(np.sqrt(2.0)))))
        one_plus = g.op("Add", erf, g.constant("one", np.float32(1.0)))
        return g.op("Mul", g.op("Mul", x, one_plus), g.constant("half", np.float32(0.5)))

    def embeddings(self) -> str:
        g, w = self.graph, self.weights
        positions = w["embeddings.position_embeddings.weight"] + w["embeddings.token_type_embeddings.weight"][0]
        words = g.op("Gather", g.constant("words", w["embeddings.word_embeddings.weight"]), "input_ids")
        seq = g.op("Shape", "input_ids", start=1, end=2)
        first, axis = g.constant("first", np.array([0], np.int64)), g.constant("axis", np.array([0], np.int64))
        rows = g.op("Slice", g.constant("positions", positions), first, seq, axis)
        return self.layer_norm(g.op("Add", words, rows), "embeddings.LayerNorm")

    def padding_scores(self) -> str:
        """[batch, 1, 1, seq]: 0 for a token, PADDING_SCORE for padding."""
        g = self.graph
        mask = g.op("Cast", "attention_mask", to=TensorProto.FLOAT)
        padding = g.op("Sub", g.constant("one", np.float32(1.0)), mask)
        scores = g.op("Mul", padding, g.constant("padding_score", PADDING_SCORE))
        return g.op("Unsqueeze", scores, g.constant("mask_axes", np.array([1, 2], np.int64)))

    def attention(self, x: str, layer: str, padding_scores: str) -> str:
        g, w = self.graph, self.weights
        head = self.dim // self.heads
        parts = [f"{layer}.attention.self.{part}" for part in ("query", "key", "value")]
        scale = np.ones((3, self.dim), np.float32)
        scale[0] /= np.sqrt(head)
        scale = scale.reshape(-1)
        weight = np.concatenate([w[f"{part}.weight"] for part in parts]) * scale[:, None]
        bias = np.concatenate([w[f"{part}.bias"] for part in parts]) * scale
        qkv = self.linear(x, f"{layer}.qkv", weight, bias)

        names = [f"{layer}.{part}" for part in ("query", "key", "value")]
        g.op("Split", qkv, g.constant("split", np.array([self.dim] * 3, np.int64)), outputs=names, axis=-1)
        shape = g.constant("heads_shape", np.array([0, 0, self.heads, head], np.int64))
        query = g.op("Transpose", g.op("Reshape", names[0], shape), perm=[0, 2, 1, 3])
        key = g.op("Transpose", g.op("Reshape", names[1], shape), perm=[0, 2, 3, 1])
        value = g.op("Transpose", g.op("Reshape", names[2], shape), perm=[0, 2, 1, 3])

        scores = g.op("Add", g.op("MatMul", query, key), padding_scores)
        context = g.op("MatMul", g.op("Softmax", scores, axis=-1), value)
        context = g.op("Transpose", context, perm=[0, 2, 1, 3])
        joined = g.op("Reshape", context, g.constant("joined_shape", np.array([0, 0, self.dim], np.int64)))
        name = f"{layer}.attention.output.dense"
        return self.linear(joined, name, w[f"{name}.weight"], w[f"{name}.bias"])

    def layer(self, x: str, layer: str, padding_scores: str) -> str:
        g, w = self.graph, self.weights
        attended = g.op("Add", self.attention(x, layer, padding_scores), x)
        x = self.layer_norm(attended, f"{layer}.attention.output.LayerNorm")
        up, down = f"{layer}.intermediate.dense", f"{layer}.output.dense"
        inner = self.gelu(self.linear(x, up, w[f"{up}.weight"], w[f"{up}.bias"]))
        outer = self.linear(inner, down, w[f"{down}.weight"], w[f"{down}.bias"])
        return self.layer_norm(g.op("Add", outer, x), f"{layer}.output.LayerNorm")

    def model(self) -> onnx.ModelProto:
        g = self.graph
        x, padding_scores = self.embeddings(), self.padding_scores()
        for number in range(self.layers):
            x = self.layer(x, f"encoder.layer.{number}", padding_scores)
        g.op("Identity", x, outputs=["last_hidden_state"])
        ids = ["batch", "seq"]
        graph = helper.make_graph(
            g.nodes,
            "bert",
            [helper.make_tensor_value_info(name, TensorProto.INT64, ids) for name in ("input_ids", "attention_mask")],
            [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [*ids, self.dim])],
            list(g.initializers.values()),
        )
        opset = [helper.make_opsetid("", OPSET)]
        return helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="turnpike")


def main(source: Path, target: Path) -> None:
    model = Bert(source).model()
    onnx.checker.check_model(model, full_check=True)
    (target / "1_Pooling").mkdir(parents=True, exist_ok=True)
    onnx.save(model, target / "model.onnx")
    for name in ("config.json", "tokenizer.json", "1_Pooling/config.json"):
        shutil.copyfile(source / name, target / name)
    print(f"{target}/model.onnx: {(target / 'model.onnx').stat().st_size} bytes, {len(model.graph.node)} nodes")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
