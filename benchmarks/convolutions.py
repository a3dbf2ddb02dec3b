"""The rows of convolutions, attention and recurrent layers, beside ONNX Runtime: both compute the same ONNX model."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from forwardpass.importers import import_model
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import compile_plan

from benchmarks.lab import LOAD_CORE, Lab, on_core
from benchmarks.needs import ONNXRUNTIME
from benchmarks.table import Finding, Goal, Row, ratio
from benchmarks.timing import best

if TYPE_CHECKING:
    from onnx import ModelProto

COUNTS: Final = (1, 256)


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """An ONNX graph.

    Attributes:
        shape: The shape of a row.
        weights: The shape of each array of weights; the numbers are random.
        biases: The size of each bias.
        text: The operators, in ONNX's text form (https://onnx.ai/onnx/repo-docs/Syntax.html), from `rows` to `outputs`.
    """

    shape: tuple[int, ...]
    weights: Mapping[str, tuple[int, ...]]
    biases: Mapping[str, int]
    text: str

    def model(self) -> "ModelProto":
        """Return the model."""
        from onnx import numpy_helper, parser  # noqa: PLC0415 - it takes long, and few rows need it

        of_row = ", ".join(map(str, self.shape))
        model: ModelProto = parser.parse_model(f"""
            <ir_version: 9, opset_import: ["" : 17]>
            network (float[count, {of_row}] rows) => (float[count, 10] outputs) {{ {self.text} }}
        """)
        random = np.random.default_rng(0)
        arrays = {name: random.standard_normal(shape) * _deviation(shape) for name, shape in self.weights.items()}
        arrays |= {name: random.standard_normal(size) for name, size in self.biases.items()}
        for name, array in arrays.items():
            model.graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), name))
        return model


def _deviation(shape: tuple[int, ...]) -> float:
    """Return the deviation of weights that keeps the size of values: of `(inputs, outputs)` or `(filters, *window)`."""
    inputs = shape[0] if len(shape) == 2 else prod(shape[1:])
    return float(inputs**-0.5)


LENET: Final = Graph(
    shape=(1, 28, 28),
    weights={
        "w1": (6, 1, 5, 5),
        "w2": (16, 6, 5, 5),
        "w3": (400, 120),
        "w4": (120, 84),
        "w5": (84, 10),
    },
    biases={"b1": 6, "b2": 16, "b3": 120, "b4": 84, "b5": 10},
    text="""
        a = Conv <pads = [2, 2, 2, 2]> (rows, w1, b1)
        b = Relu (a)
        c = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (b)
        d = Conv (c, w2, b2)
        e = Relu (d)
        f = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (e)
        g = Flatten (f)
        h = Gemm (g, w3, b3)
        i = Relu (h)
        j = Gemm (i, w4, b4)
        k = Relu (j)
        outputs = Gemm (k, w5, b5)
    """,
)
"""LeNet-5 (LeCun et al., 1998) with relu and maxima, as it is trained today."""

MNIST: Final = Graph(
    shape=(1, 28, 28),
    weights={
        "w1": (32, 1, 3, 3),
        "w2": (64, 32, 3, 3),
        "w3": (9216, 128),
        "w4": (128, 10),
    },
    biases={"b1": 32, "b2": 64, "b3": 128, "b4": 10},
    text="""
        a = Conv (rows, w1, b1)
        b = Relu (a)
        c = Conv (b, w2, b2)
        d = Relu (c)
        e = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (d)
        f = Flatten (e)
        g = Gemm (f, w3, b3)
        h = Relu (g)
        outputs = Gemm (h, w4, b4)
    """,
)
"""The network of PyTorch's basic MNIST example, to the logits."""

ATTENTION: Final = Graph(
    shape=(16, 32),
    weights={"wq": (32, 32), "wk": (32, 32), "wv": (32, 32), "w": (512, 10)},
    biases={"b": 10},
    text="""
        queries = MatMul (rows, wq)
        keys = MatMul (rows, wk)
        values = MatMul (rows, wv)
        turned = Transpose <perm = [0, 2, 1]> (keys)
        scores = MatMul (queries, turned)
        shares = Softmax <axis = -1> (scores)
        mixed = MatMul (shares, values)
        sums = Add (rows, mixed)
        flat = Flatten (sums)
        outputs = Gemm (flat, w, b)
    """,
)
"""A head of self-attention over 16 tokens of 32 numbers (Vaswani et al., 2017), its residual sum, a dense layer."""

LSTM: Final = Graph(
    shape=(28, 28),
    weights={"w": (1, 128, 28), "r": (1, 128, 32), "w2": (32, 10)},
    biases={"b2": 10},
    text="""
        steps = Transpose <perm = [1, 0, 2]> (rows)
        states, last = LSTM <hidden_size = 32> (steps, w, r)
        axis = Constant <value_ints = [0]> ()
        flat = Squeeze (last, axis)
        outputs = Gemm (flat, w2, b2)
    """,
)
"""An LSTM (Hochreiter & Schmidhuber, 1997) of 32 units over the 28 lines of an image, and a dense layer."""

GRAPHS: Final[Mapping[str, Graph]] = {"LeNet": LENET, "MNIST": MNIST, "attention": ATTENTION, "LSTM": LSTM}


def against_onnxruntime(lab: Lab, names: tuple[str, ...]) -> Mapping[str, Finding]:
    """Compare `forward` with ONNX Runtime, one thread each, after checking that their outputs agree."""
    return {_key(name, count): finding for name in names for count, finding in _findings(lab, GRAPHS[name])}


def _findings(lab: Lab, graph: Graph) -> list[tuple[int, Finding]]:
    import onnxruntime as ort  # noqa: PLC0415 - it takes long, and few rows need it

    model = graph.model()
    plan = compile_plan(import_model(model).spec)
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    findings = []
    for count in COUNTS:
        rows = np.random.default_rng(1).standard_normal((count, *graph.shape)).astype(np.float32)
        works: list[Callable[[], Any]] = [
            partial(forward, plan, rows.reshape(count, -1)),
            partial(session.run, None, {"rows": rows}),
        ]
        np.testing.assert_allclose(works[0](), works[1]()[0], rtol=1e-3, atol=1e-3)
        with on_core(LOAD_CORE):
            ours, theirs = best(works, repeats=lab.repeats, min_seconds=lab.min_seconds)
        findings.append((count, ratio(theirs, ours, exact_us=ours * 1e6, onnxruntime_us=theirs * 1e6)))
    return findings


def _key(name: str, count: int) -> str:
    return f"{name}, {count:,} {'row' if count == 1 else 'rows'}"


def _row(number: int, *names: str) -> Row:
    keys = [_key(name, count) for name in names for count in COUNTS]
    return Row(
        number=number,
        goals={key: Goal(title=f"forward, exact / onnxruntime, {key}", wanted=0.5) for key in keys},
        measure=partial(against_onnxruntime, names=names),
        needs=(ONNXRUNTIME,),
    )


ROWS: Final = (_row(18, "LeNet", "MNIST"), _row(19, "attention"), _row(23, "LSTM"))
