"""A logistic model a category over hashed features, and what it says of texts it never saw.

scikit-learn fits; onnx writes. Both are asked for only here: a gateway needs onnxruntime alone.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmops_cli.core.errors import EnvironmentMissing
from llmops_cli.core.progress import Progress
from llmops_cli.guard.logistic import unfitted
from llmops_cli.guard.moderation.features import BUCKETS, hashed, read_part
from llmops_cli.guard.moderation.rows import ModeratedText

Array = NDArray[np.float64]
FOLDS = 5
STRENGTH = 4.0
"""Of the data against the ridge; scikit-learn's C."""
OPSET = 17
IR_VERSION = 9
SIGNIFICANT = 6
"""Digits of a weight: beyond them, machines may differ."""
READING = "texts read"
FITTING = "categories fitted"


class CategoryWeights(NamedTuple):
    w_F: Array
    bias: float


class TextFeatures(NamedTuple):
    """Of each text one row, of all that is read of it. `x_NF` is scipy's CSR."""

    x_NF: Any  # Any: scipy has no types
    fold_N: NDArray[np.int64]


def need_libraries() -> None:
    """Raises: EnvironmentMissing."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import sklearn  # noqa: F401
    except ImportError as error:
        raise EnvironmentMissing(
            f"a moderation model is fitted by scikit-learn and written by onnx: no {error.name}",
            hint="pip install 'llmops-cli[moderation]'",
        ) from None


def features_of(rows: Sequence[ModeratedText], progress: Progress) -> TextFeatures:
    """The same text is in one fold wherever it stands, so that none is judged by itself."""
    from scipy.sparse import csr_array

    places: list[int] = [0]
    numbers: list[int] = []
    values: list[float] = []
    for done, row in enumerate(rows):
        progress.update(READING, done, len(rows))
        found = hashed(read_part(row.text))
        numbers += found.numbers
        values += found.values
        places.append(len(numbers))
    progress.update(READING, len(rows), len(rows))
    x_NF = csr_array((values, numbers, places), shape=(len(rows), BUCKETS))
    x_NF.indices = x_NF.indices.astype(np.int32)  # liblinear's own
    x_NF.indptr = x_NF.indptr.astype(np.int32)
    folds = [zlib.crc32(row.text.strip().lower().encode()) % FOLDS for row in rows]
    return TextFeatures(x_NF, np.array(folds))


def fit(x_NF: Any, y_N: NDArray[np.bool_]) -> CategoryWeights:
    """Rare and common labels weigh alike, so that a rare category is not drowned."""
    model = unfitted(STRENGTH)
    model.fit(x_NF, y_N)
    w_F = np.zeros(BUCKETS)
    for number in np.flatnonzero(model.coef_[0]):
        w_F[number] = float(f"{model.coef_[0][number]:.{SIGNIFICANT}g}")
    return CategoryWeights(w_F, float(f"{float(model.intercept_[0]):.{SIGNIFICANT}g}"))


def probabilities(x_NF: Any, weights: CategoryWeights) -> Array:
    logits = np.clip(x_NF @ weights.w_F + weights.bias, -500, 500)
    found: Array = 1 / (1 + np.exp(-logits))
    return found


def unseen_probabilities(features: TextFeatures, y_N: NDArray[np.bool_]) -> Array:
    """Of each text by a model that was fitted to the other folds."""
    found = np.zeros(len(y_N))
    for fold in range(FOLDS):
        is_held = features.fold_N == fold
        others = y_N[~is_held]
        if is_held.any() and others.any() and not others.all():
            weights = fit(features.x_NF[~is_held], others)
            found[is_held] = probabilities(features.x_NF[is_held], weights)
    return found


def as_onnx(weights: Sequence[CategoryWeights]) -> bytes:
    """`numbers` (int64, N) and `values` (float, N) of one window -> `probabilities` (float, C)."""
    from onnx import TensorProto, helper, numpy_helper

    w_FC = np.stack([each.w_F for each in weights], axis=1).astype(np.float32)
    bias_C = np.array([each.bias for each in weights], dtype=np.float32)
    axes = np.array([1], dtype=np.int64)
    first = np.array([0], dtype=np.int64)
    constants: dict[str, NDArray[Any]] = {
        "weights": w_FC,
        "bias": bias_C,
        "across": axes,
        "down": first,
    }
    nodes = [
        helper.make_node("Gather", ["weights", "numbers"], ["rows"], axis=0),
        helper.make_node("Unsqueeze", ["values", "across"], ["column"]),
        helper.make_node("Mul", ["rows", "column"], ["parts"]),
        helper.make_node("ReduceSum", ["parts", "down"], ["sums"], keepdims=0),
        helper.make_node("Add", ["sums", "bias"], ["logits"]),
        helper.make_node("Sigmoid", ["logits"], ["probabilities"]),
    ]
    graph = helper.make_graph(
        nodes,
        "moderation",
        [
            helper.make_tensor_value_info("numbers", TensorProto.INT64, ["N"]),
            helper.make_tensor_value_info("values", TensorProto.FLOAT, ["N"]),
        ],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [len(weights)])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    raw: bytes = model.SerializeToString()
    return raw
