"""Writes the model as ONNX: the graph, the weights, and as properties the vocabulary and what the heads mean.

    tokens         i64 [n]         input: the word pieces of one window, 1 to 32
    <head>         f32 [labels]    outputs: calibrated probabilities, one output a head
    features       f32 [H + D]     output: what the heads read, for own heads

The file is also what filters/classify reads: it finds the initializers by their names.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import data
import net

FORMAT = 1


def calibrated(heads: dict, calibrations: dict) -> tuple[np.ndarray, np.ndarray]:
    """One matrix and bias for all heads, with the calibration worked in."""
    weights, biases = [], []
    for head in data.LABELS:
        w, b, numbers = heads[head]["w"], heads[head]["b"], calibrations[head]
        if head == "category":
            weights.append(w * numbers[0])
            biases.append(b * numbers[0])
        else:
            zero = np.zeros(len(w), np.float32)
            weights.append(np.stack([zero, numbers[0] * (w[:, 1] - w[:, 0])], 1))
            biases.append(np.array([0, numbers[0] * (b[1] - b[0]) + numbers[1]]))
    return np.concatenate(weights, 1).astype(np.float32), np.concatenate(biases).astype(np.float32)


def write(target: Path, params: dict, vectors: np.ndarray, scale: np.ndarray, pieces: list[str], calibrations: dict, thresholds: dict) -> str:
    head_w, head_b = calibrated(params["heads"], calibrations)
    dim, hidden = vectors.shape[1], len(params["hidden"]["b"])
    initializers = {
        "vectors": vectors,
        "vector_scale": scale.astype(np.float32),
        "weights": np.exp(params["weights"]).astype(np.float32),
        "hidden_w": params["hidden"]["w"].astype(np.float32),
        "hidden_b": params["hidden"]["b"].astype(np.float32),
        "head_w": head_w,
        "head_b": head_b,
        "mean_scale": np.array(net.MEAN_SCALE, np.float32),
        "least": np.array(1e-6, np.float32),
        "axis_0": np.array([0], np.int64),
        "axis_1": np.array([1], np.int64),
        "splits": np.array([len(labels) for labels in data.LABELS.values()], np.int64),
    }
    node = helper.make_node
    names = list(data.LABELS)
    nodes = [
        node("Gather", ["vectors", "tokens"], ["bytes"], axis=0),
        node("Cast", ["bytes"], ["unscaled"], to=TensorProto.FLOAT),
        node("Mul", ["unscaled", "vector_scale"], ["vector"]),
        node("Gather", ["weights", "tokens"], ["weight"], axis=0),
        node("Unsqueeze", ["weight", "axis_1"], ["weight_column"]),
        node("Mul", ["vector", "weight_column"], ["weighted"]),
        node("ReduceSum", ["weighted", "axis_0"], ["sum"], keepdims=1),
        node("ReduceSum", ["weight", "axis_0"], ["weight_sum"], keepdims=1),
        node("Max", ["weight_sum", "least"], ["divisor"]),
        node("Div", ["sum", "divisor"], ["average"]),
        node("Mul", ["average", "mean_scale"], ["mean"]),
        node("ReduceMax", ["vector"], ["peak"], axes=[0], keepdims=1),
        node("Concat", ["mean", "peak"], ["pooled"], axis=1),
        node("MatMul", ["pooled", "hidden_w"], ["hidden_product"]),
        node("Add", ["hidden_product", "hidden_b"], ["hidden_sum"]),
        node("Relu", ["hidden_sum"], ["hidden"]),
        node("Concat", ["hidden", "mean"], ["feature_row"], axis=1),
        node("MatMul", ["feature_row", "head_w"], ["product"]),
        node("Add", ["product", "head_b"], ["logits"]),
        node("Split", ["logits", "splits"], [f"{name}_logits" for name in names], axis=1),
        node("Squeeze", ["feature_row", "axis_0"], ["features"]),
    ]
    for name in names:
        nodes.append(node("Softmax", [f"{name}_logits"], [f"{name}_row"], axis=1))
        nodes.append(node("Squeeze", [f"{name}_row", "axis_0"], [name]))
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [len(labels)]) for name, labels in data.LABELS.items()]
    outputs.append(helper.make_tensor_value_info("features", TensorProto.FLOAT, [hidden + dim]))
    graph = helper.make_graph(nodes, "turnpike-classifier", [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["n"])], outputs,
                              [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in initializers.items()])
    digest = hashlib.sha256()
    for value in initializers.values():
        digest.update(np.ascontiguousarray(value).tobytes())
    digest.update("\n".join(pieces).encode())
    name = f"turnpike-classifier-{digest.hexdigest()[:12]}"
    about = {"format": FORMAT, "id": name, "heads": [
        {"name": head, "labels": labels, "windows": "max" if head in data.GUARDS else "mean", "threshold": round(float(thresholds[head]), 2)}
        for head, labels in data.LABELS.items()]}
    model = helper.make_model(graph, producer_name="turnpike", ir_version=8, opset_imports=[helper.make_opsetid("", 17)])
    helper.set_model_props(model, {"turnpike": json.dumps(about), "vocabulary": "\n".join(pieces)})
    onnx.checker.check_model(model)
    target.write_bytes(model.SerializeToString())
    return name
