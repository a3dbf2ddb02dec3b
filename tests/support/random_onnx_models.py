"""Random ONNX models of operators that the importer reads: reshaped, split, joined and computed in any order."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

UNARY = (
    *(
        "Relu",
        "LeakyRelu",
        "Elu",
        "Selu",
        "Celu",
        "Sigmoid",
        "Tanh",
        "HardSigmoid",
        "HardSwish",
        "Softplus",
        "Softsign",
    ),
    *("ThresholdedRelu", "Abs", "Neg", "Sin", "Cos", "Erf", "Identity", "Dropout"),
)

ONLY_FLOAT32 = {"Celu", "HardSwish"}
"""Celu has no other form, and onnx's own numpy takes the sixth of HardSwish in float32."""


class RandomModel:
    """A graph that grows node by node; every tensor has its shape for one row.

    Attributes:
        nodes: The nodes so far.
        initializers: Their constants.
        tensors: The shape of each tensor, without the rows.
    """

    def __init__(self, seed: int, dtype: str) -> None:
        self.rng = np.random.default_rng(seed)
        self.dtype = dtype
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self.tensors: dict[str, tuple[int, ...]] = {}

    def add(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> list[str]:
        names = [f"t{len(self.nodes)}_{place}" for place in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, **attributes))
        return names

    def constant(self, array: Any) -> str:
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def numbers(self, *shape: int) -> str:
        return self.constant(self.rng.normal(size=shape).astype(self.dtype))

    def pick(self) -> str:
        return str(self.rng.choice(list(self.tensors)[-6:]))


def _unary(model: RandomModel) -> None:
    name = model.pick()
    op = str(model.rng.choice(UNARY))
    (made,) = model.add("Elu" if op in ONLY_FLOAT32 and model.dtype == "float64" else op, name)
    model.tensors[made] = model.tensors[name]


def _with_constant(model: RandomModel) -> None:
    name = model.pick()
    shape = model.tensors[name]
    kept = shape[model.rng.integers(0, len(shape) + 1) :]
    number = model.numbers(*kept)
    op = str(model.rng.choice(["Add", "Sub", "Mul", "Max", "Min"]))
    inputs = (name, number) if model.rng.random() < 0.5 else (number, name)
    (made,) = model.add(op, *inputs)
    model.tensors[made] = shape


def _two(model: RandomModel) -> None:
    one = model.pick()
    fitting = [name for name, shape in model.tensors.items() if shape == model.tensors[one]]
    (made,) = model.add(
        str(model.rng.choice(["Add", "Sub", "Mul", "Max", "Min", "Sum", "Mean"])), one, str(model.rng.choice(fitting))
    )
    model.tensors[made] = model.tensors[one]


def _gemm(model: RandomModel) -> None:
    name = model.pick()
    shape = model.tensors[name]
    width = int(model.rng.integers(1, 6))
    if len(shape) == 1 and model.rng.random() < 0.5:
        (made,) = model.add("Gemm", name, model.numbers(width, shape[0]), model.numbers(width), transB=1)
    else:
        (made,) = model.add("MatMul", name, model.numbers(shape[-1], width))
    model.tensors[made] = (*shape[:-1], width)


def _reshape(model: RandomModel) -> None:
    name = model.pick()
    size = int(np.prod(model.tensors[name]))
    divisors = [number for number in range(1, size + 1) if size % number == 0]
    first = int(model.rng.choice(divisors))
    shape = (size,) if model.rng.random() < 0.5 else (first, size // first)
    target = [0 if model.rng.random() < 0.5 else -1, *shape]
    (made,) = model.add("Reshape", name, model.constant(np.array(target, np.int64)))
    model.tensors[made] = shape


def _transpose(model: RandomModel) -> None:
    name = model.pick()
    shape = model.tensors[name]
    order = model.rng.permutation(len(shape))
    (made,) = model.add("Transpose", name, perm=[0, *(int(axis) + 1 for axis in order)])
    model.tensors[made] = tuple(shape[axis] for axis in order)


def _concat(model: RandomModel) -> None:
    one = model.pick()
    shape = model.tensors[one]
    fitting = [name for name, other in model.tensors.items() if other[1:] == shape[1:] and len(other) == len(shape)]
    names = [one, *(str(model.rng.choice(fitting)) for _ in range(model.rng.integers(1, 3)))]
    size = sum(model.tensors[name][0] for name in names)
    if size * int(np.prod(shape[1:])) <= 40:
        (made,) = model.add("Concat", *names, axis=1)
        model.tensors[made] = (size, *shape[1:])


def _split(model: RandomModel) -> None:
    name = model.pick()
    shape = model.tensors[name]
    if shape[0] > 1:
        first = int(model.rng.integers(1, shape[0]))
        sizes = model.constant(np.array([first, shape[0] - first], np.int64))
        one, other = model.add("Split", name, sizes, outputs=2, axis=1)
        model.tensors |= {one: (first, *shape[1:]), other: (shape[0] - first, *shape[1:])}


def _slice(model: RandomModel) -> None:
    name = model.pick()
    shape = model.tensors[name]
    axis = int(model.rng.integers(0, len(shape)))
    start, step = int(model.rng.integers(0, shape[axis])), int(model.rng.choice([1, 2, -1]))
    end = -1000 if step < 0 else 1000
    arguments = [model.constant(np.array([number], np.int64)) for number in (start, end, axis + 1, step)]
    (made,) = model.add("Slice", name, *arguments)
    size = len(range(shape[axis])[start::step])
    model.tensors[made] = (*shape[:axis], size, *shape[axis + 1 :])


def _gather(model: RandomModel) -> None:
    name = model.pick()
    shape = model.tensors[name]
    indices = model.rng.integers(-shape[-1], shape[-1], size=model.rng.integers(1, 5))
    (made,) = model.add("Gather", name, model.constant(indices.astype(np.int64)), axis=len(shape))
    model.tensors[made] = (*shape[:-1], len(indices))


def _reduce(model: RandomModel) -> None:
    name = model.pick()
    shape = model.tensors[name]
    op = str(model.rng.choice(["ReduceMean", "ReduceMax", "ReduceMin"]))
    (made,) = model.add(op, name, axes=[len(shape)], keepdims=1)
    model.tensors[made] = (*shape[:-1], 1)


def _softmax(model: RandomModel) -> None:
    name = model.pick()
    axis = int(model.rng.integers(0, len(model.tensors[name])))
    (made,) = model.add(str(model.rng.choice(["Softmax", "LogSoftmax"])), name, axis=axis + 1)
    model.tensors[made] = model.tensors[name]


def _normalized(model: RandomModel) -> None:
    name = model.pick()
    shape = model.tensors[name]
    if shape[-1] > 1:
        (made,) = model.add("LayerNormalization", name, model.numbers(shape[-1]), model.numbers(shape[-1]), axis=-1)
        model.tensors[made] = shape


_STEPS: Mapping[Callable[[RandomModel], None], float] = {
    _unary: 4,
    _with_constant: 4,
    _two: 2,
    _gemm: 3,
    _reshape: 1,
    _transpose: 1,
    _concat: 1,
    _split: 1,
    _slice: 1,
    _gather: 1,
    _reduce: 1,
    _softmax: 0.5,
    _normalized: 0.5,
}
"""What may come next, and how often."""


def random_model(seed: int, dtype: str = "float32") -> Any:
    """Return a `ModelProto` of one or two inputs whose outputs are the tensors that no node reads."""
    model = RandomModel(seed, dtype)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    inputs = {f"x{place}": int(model.rng.integers(1, 7)) for place in range(model.rng.integers(1, 3))}
    model.tensors |= {name: (width,) for name, width in inputs.items()}
    odds = np.array(list(_STEPS.values()))
    for _ in range(model.rng.integers(2, 14)):
        list(_STEPS)[model.rng.choice(len(odds), p=odds / odds.sum())](model)
    unread = [name for name in inputs if all(name not in node.input for node in model.nodes)]
    if unread:
        (made,) = model.add("Concat", *unread, axis=1)
        model.tensors[made] = (sum(inputs[name] for name in unread),)
    read = {name for node in model.nodes for name in node.input}
    outputs = [name for name in model.tensors if name not in read and name not in inputs]
    graph = helper.make_graph(
        model.nodes,
        f"random {seed}",
        [helper.make_tensor_value_info(name, kind, ["rows", width]) for name, width in inputs.items()],
        [
            helper.make_tensor_value_info(name, kind, ["rows", *model.tensors[name]])
            for name in outputs or list(model.tensors)[-1:]
        ],
        model.initializers,
    )
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    whole.ir_version = 8
    onnx.checker.check_model(whole)
    return whole
