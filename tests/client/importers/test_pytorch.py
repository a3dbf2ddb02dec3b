"""The parts of the PyTorch importer that need no PyTorch; tests/frameworks has the rest."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pytest
from forwardpass.errors import InvalidFieldError
from forwardpass.importers import load_object
from forwardpass.importers.graph import LayerOperations, TensorRef
from forwardpass.importers.graph.passes import simplify
from forwardpass.importers.pytorch.integers import ROW_COUNT, RowCount
from forwardpass.importers.pytorch.modules import MODULES
from forwardpass.importers.pytorch.operations import OPERATIONS, operate
from forwardpass.importers.pytorch.recurrent import RECURRENT_MODULES
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.spec import FORMAT, NetworkSpec, parse
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import compile_plan
from hypothesis import given
from hypothesis import strategies as st

ROWS = 5

Random: TypeAlias = np.random.Generator
Step: TypeAlias = tuple[str, tuple[Any, ...], Callable[[Any], Any]]
"""An operation, its arguments behind the tensor, and what numpy does to the same tensor."""


def graph_of(shape: tuple[int, ...]) -> tuple[LayerOperations, TensorRef]:
    """Return a builder and its inputs in a shape."""
    graph = LayerOperations()
    return graph, graph.add_inputs(int(np.prod(shape))).reshape(*shape)


def network_of(graph: LayerOperations, width: int, *outputs: TensorRef) -> NetworkSpec:
    """Make a network whose outputs are these numbers."""
    names: list[str] = []
    for rows in outputs:
        names.append(graph.output(rows, names))
    layers, names = simplify(graph.layers, names)
    return parse({"format": FORMAT, "inputs": width, "layers": layers, "output_layers": names})


def computed(graph: LayerOperations, values: Any, *outputs: TensorRef) -> Any:
    """Compute such a network by the server's core: rows, `(rows, ...)`, of all its inputs."""
    flat = values.reshape(len(values), -1)
    return forward(compile_plan(network_of(graph, flat.shape[1], *outputs)), flat)


def axis(random: Random, value: Any) -> int:
    """Choose an axis, not that of the rows, counted from either end."""
    chosen = int(random.integers(1, value.ndim))
    return chosen if random.random() < 0.5 else chosen - value.ndim


def _reshape(random: Random, value: Any) -> Step:
    sizes = [int(size) for size in random.permutation(value.shape[1:])]
    shape = sizes if random.random() < 0.5 else [sizes[0], -1]
    first: Any = ROW_COUNT if -1 in shape or random.random() < 0.5 else -1
    return "view", (first, *shape), lambda x: x.reshape(len(x), *shape)


def _flatten(random: Random, value: Any) -> Step:
    start = int(random.integers(1, value.ndim))
    return "flatten", (start,), lambda x: x.reshape(*x.shape[:start], -1)


def _permute(random: Random, value: Any) -> Step:
    order = (0, *(int(place) for place in random.permutation(range(1, value.ndim))))
    return "permute", order, lambda x: x.transpose(order)


def _transpose(random: Random, value: Any) -> Step:
    one, other = axis(random, value), axis(random, value)
    return "transpose", (one, other), lambda x: np.swapaxes(x, one, other)


def _unsqueeze(random: Random, value: Any) -> Step:
    place = int(random.integers(1, value.ndim + 1))
    return "unsqueeze", (place,), lambda x: np.expand_dims(x, place)


def _flip(random: Random, value: Any) -> Step:
    place = axis(random, value)
    return "flip", ((place,),), lambda x: np.flip(x, place)


def _roll(random: Random, value: Any) -> Step:
    place, shift = axis(random, value), int(random.integers(-3, 4))
    return "roll", (shift, place), lambda x: np.roll(x, shift, place)


def _select(random: Random, value: Any) -> Step:
    place = axis(random, value)
    chosen = int(random.integers(value.shape[place]))
    return "index_select", (place, np.array([chosen, 0, chosen])), lambda x: np.take(x, [chosen, 0, chosen], place)


def _getitem(random: Random, value: Any) -> Step:
    start = int(random.integers(value.shape[-1]))
    item = (Ellipsis, slice(start, None), None) if random.random() < 0.5 else (slice(None), [0, -1])
    return "getitem", (item,), lambda x: x[item]


def _repeat(random: Random, value: Any) -> Step:
    times = (1, *(int(count) for count in random.integers(1, 3, value.ndim - 1)))
    return "repeat", times, lambda x: np.tile(x, times)


STEPS: tuple[Callable[[Random, Any], Step], ...] = (
    *(_reshape, _flatten, _permute, _transpose, _unsqueeze, _flip, _roll, _select, _getitem, _repeat),
)


@given(st.integers(0, 2**32))
def test_reshaping_operations_move_elements_as_numpy_does(seed: int) -> None:
    random = np.random.default_rng(seed)
    shape = tuple(random.integers(1, 4, size=random.integers(1, 4)).tolist())
    start = value = random.normal(size=(ROWS, *shape))
    graph, rows = graph_of(shape)
    for _ in range(random.integers(1, 7)):
        if value.size > 1_000:
            break
        name, args, numpys = STEPS[random.integers(len(STEPS))](random, value)
        rows, value = operate(graph, name, (rows, *args), {}), numpys(value)
        assert rows.shape == value.shape[1:]
        if random.random() < 0.3:
            rows, value = operate(graph, "mul", (rows, -2.0), {}), value * -2.0
    np.testing.assert_array_equal(computed(graph, start, rows), value.reshape(ROWS, -1))


@given(st.integers(0, 2**32))
def test_joined_tensors_have_the_elements_that_numpy_gives_them(seed: int) -> None:
    random = np.random.default_rng(seed)
    value = random.normal(size=(ROWS, 3, 4))
    graph, rows = graph_of((3, 4))
    place = int(random.integers(1, 3))
    first, second, *_ = operate(graph, "split", (rows, 2, place), {})
    ends = np.split(value, [2], place) if place == 1 else np.split(value, 2, place)
    joined = operate(graph, "cat", ([second, rows, first], place), {})
    expected = np.concatenate([ends[1], value, ends[0]], place)
    stacked = operate(graph, "stack", ([rows, rows], -1), {})
    total = operate(graph, "sum", (joined, (1, 2)), {})
    outputs = computed(graph, value, joined, stacked, total)
    sides = expected.reshape(ROWS, -1), np.stack([value, value], -1).reshape(ROWS, -1), expected.sum((1, 2))[:, None]
    np.testing.assert_allclose(outputs, np.concatenate(sides, axis=1), rtol=1e-12, atol=1e-14)


def test_activations_and_merges_are_folded_into_other_layers() -> None:
    graph, rows = graph_of((3,))
    hidden = operate(graph, "relu", (operate(graph, "linear", (rows, np.eye(3)), {}),), {})
    joined = operate(graph, "cat", ([rows, hidden, rows], 1), {})
    output = operate(graph, "linear", (joined, np.ones((1, 9))), {})
    network = network_of(graph, 3, operate(graph, "sigmoid", (output,), {}))
    assert [(layer.from_, layer.merge, str(layer.activation)) for layer in network.layers] == [
        (("inputs",), None, "relu"),
        (("inputs", "layer"), "concatenate", "identity"),
        (("layer_input",), None, "sigmoid"),
    ]


UNSUPPORTED: Mapping[str, tuple[str, tuple[Any, ...]]] = {
    "a count of rows that is fixed": ("view", (2, 3)),
    "rows that are turned round": ("flip", (0,)),
    "a row": ("getitem", (0,)),
    "some rows": ("getitem", (slice(0, 2),)),
    "every other row": ("slice", (0, 0, None, 2)),
    "all numbers": ("sum", ()),
    "rows put below rows": ("cat", ()),
    "an axis that is not there": ("softmax", (7,)),
    "matrices of another width": ("linear", (np.ones((2, 6)),)),
    "shapes that do not fit": ("add", (np.ones(7),)),
    "a row for each row": ("mul", (np.ones((3, 2, 2)),)),
    "as much as there are rows": ("mul", (ROW_COUNT,)),
    "windows that are too large": ("max_pool1d", (9,)),
    "infinite constants": ("pow", (float("inf"),)),
    "an unknown word": ("relu", (1, 2, 3)),
}


@pytest.mark.parametrize(("name", "args"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_an_operation_across_rows_is_rejected(name: str, args: tuple[Any, ...]) -> None:
    graph, rows = graph_of((2, 5))
    with pytest.raises(UnsupportedError, match=rf"^{name} "):
        operate(graph, name, ([rows, rows],) if name == "cat" else (rows, *args), {})


def test_every_module_calls_operations_that_are_read() -> None:
    """Run each with a module that has every attribute, and see what it calls."""

    class Everything:
        def __getattr__(self, name: str) -> object:
            if name == "weight_mask":
                raise AttributeError(name)
            return [1, 1] if name in {"_reversed_padding_repeated_twice", "kernel_size"} else 1

    called: set[str] = set()
    made_of_others = {"MultiheadAttention", "TransformerEncoder", "TransformerEncoderLayer", *RECURRENT_MODULES}
    for name, read in MODULES.items():
        if name not in made_of_others:
            needed = [
                each for each in inspect.signature(read).parameters.values() if each.kind == each.POSITIONAL_OR_KEYWORD
            ]
            read(lambda name, *_args, **_options: called.add(name), Everything(), *[None] * (len(needed) - 2))
    assert called <= set(OPERATIONS)


def test_rows_may_be_any_axis_and_one_with_others() -> None:
    value = np.random.default_rng(5).normal(size=(ROWS, 3, 4))
    graph, rows = graph_of((3, 4))
    turned = operate(graph, "permute", (rows, (1, 0, 2)), {})  # (3, rows, 4)
    flat = operate(graph, "reshape", (turned, (-1, 4)), {})  # (3 * rows, 4)
    mapped = operate(graph, "linear", (flat, np.arange(8.0).reshape(2, 4)), {})
    back = operate(graph, "view", (mapped, 3, ROW_COUNT, 2), {})
    heads = operate(graph, "softmax", (operate(graph, "movedim", (back, 1, 0), {}), -1), {})
    total = operate(graph, "mean", (operate(graph, "stack", ([heads, heads],), {}), 0), {})
    found = computed(graph, value, operate(graph, "flatten", (total, 1), {}))
    powers = np.exp(value @ np.arange(8.0).reshape(2, 4).T)
    np.testing.assert_allclose(found, (powers / powers.sum(-1, keepdims=True)).reshape(ROWS, -1), rtol=1e-12)


@pytest.mark.parametrize("shape", [(-1,), (-1, 2), (7, ROW_COUNT)])
def test_what_mixes_rows_with_others_is_rejected(shape: tuple[Any, ...]) -> None:
    graph, rows = graph_of((2, 5))
    with pytest.raises(UnsupportedError, match=r"max_pool1d|view"):
        operate(graph, "max_pool1d", (operate(graph, "view", (rows, shape), {}), 2), {})
    with pytest.raises(UnsupportedError, match="joins rows with rows of another axis"):
        operate(graph, "mul", (rows, operate(graph, "unsqueeze", (rows, 1), {})), {})


@pytest.mark.parametrize(
    ("file", "words"),
    [
        *((f"model{suffix}", "save_model(module, FILE)") for suffix in (".pt", ".pth", ".bin", ".ckpt", ".PT")),
        ("model.pt2", "torch.export.load(FILE)"),
        ("model.safetensors", "--architecture MODULE:ATTRIBUTE"),
        ("model.joblib", "is a pickle"),
        ("model.tflite", "tf2onnx.convert --tflite FILE"),
        ("saved_model.pb", "tf2onnx.convert --saved-model FOLDER"),
    ],
)
def test_an_unsupported_file_is_rejected_with_what_to_do(file: str, words: str) -> None:
    with pytest.raises(InvalidFieldError) as caught:
        load_object(file)
    assert words in str(caught.value)


def test_categories_may_be_shifted_and_computed() -> None:
    graph, x = graph_of((3,))
    offsets, table = np.array([0, -1, 4]), np.arange(14.0).reshape(7, 2)
    rows = operate(graph, "embedding", (operate(graph, "add", (x, offsets), {}), table), {})
    largest = operate(graph, "argmax", (rows, 1), {})
    chosen = operate(graph, "gather", (rows, 1, operate(graph, "unsqueeze", (largest, 1), {})), {})
    values = np.array([[3.0, 1.0, 0.0], [6.0, 7.0, 2.0]])
    looked_up = table[values.astype(int) + offsets]
    expected = np.take_along_axis(looked_up, looked_up.argmax(1)[:, None], 1)
    assert (computed(graph, values, chosen).reshape(2, 1, 2) == expected).all()
    assert graph.whole.categories == {
        ("inputs", 0): range(7),
        ("inputs", 1): range(1, 8),
        ("inputs", 2): range(3),
    }


def test_categories_that_may_be_no_row_of_the_table_are_rejected() -> None:
    graph, x = graph_of((3,))
    for places in (operate(graph, "mul", (x, 2), {}), operate(graph, "argmax", (x, 1), {})):
        with pytest.raises(UnsupportedError, match="may not be from 0 to 1"):
            operate(graph, "embedding", (places, np.ones((2, 2))), {})


@pytest.mark.parametrize(("right", "side"), [(True, "right"), (False, "left")])
def test_buckets_are_those_of_numpy(right: bool, side: Any) -> None:
    graph, x = graph_of((4,))
    boundaries = np.array([-1.0, 0.5, 0.5, 2.0])
    values = np.array([[-1.0, 0.5, 2.0, 3.0], [-2.0, 0.0, 1.0, np.nextafter(0.5, 1)]])
    found = operate(graph, "bucketize", (x, boundaries), {"right": right})
    assert (computed(graph, values, found) == np.searchsorted(boundaries, values, side)).all()


def test_parts_of_a_tensor_are_written() -> None:
    graph, x = graph_of((2, 3))
    flat = operate(graph, "select", (x, 1, 0), {})
    written = operate(graph, "select_scatter", (x, operate(graph, "exp", (flat,), {}), 1, 1), {})
    written = operate(graph, "slice_scatter", (written, np.full((1, 2, 1), 7.0), 2, 0, 1), {})
    written = operate(graph, "index_put", (written, [operate(graph, "lt", (written, 0), {})], np.array(0.5)), {})
    values = np.random.default_rng(0).normal(size=(ROWS, 2, 3))
    expected = np.stack([values[:, 0], np.exp(values[:, 0])], 1)
    expected[:, :, :1] = 7
    expected[expected < 0] = 0.5
    assert np.allclose(computed(graph, values, written).reshape(values.shape), expected, rtol=1e-15)


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
@pytest.mark.parametrize("align", [False, True])
def test_a_resized_constant_stays_what_it_is_and_a_ramp_grows_evenly(mode: str, align: bool) -> None:
    graph, x = graph_of((1, 4, 4))
    larger = operate(graph, "interpolate", (x, [8, 6]), {"mode": mode, "align_corners": align})
    same = computed(graph, np.full((1, 1, 4, 4), 3.0), larger)
    ramp = computed(graph, np.broadcast_to(np.arange(4.0), (1, 1, 4, 4)), larger).reshape(8, 6)
    assert np.allclose(same, 3)
    assert (np.diff(ramp, axis=1) >= -1e-12).all()
    if mode == "bilinear" and align:
        assert np.allclose(ramp, np.linspace(0, 3, 6))


def test_a_loss_of_all_rows_is_rejected() -> None:
    graph, x = graph_of((3,))
    with pytest.raises(UnsupportedError, match='give reduction="none"'):
        operate(graph, "mse_loss", (x, x), {})


def test_truth_of_numbers_is_whether_they_are_0() -> None:
    graph, x = graph_of((2, 3))
    found = operate(graph, "any", (operate(graph, "relu", (x,), {}), 1), {})
    values = np.random.default_rng(0).normal(size=(ROWS, 2, 3))
    assert (computed(graph, values, found) == (values > 0).any(axis=1)).all()


def test_a_matrix_norm_is_rejected() -> None:
    graph, x = graph_of((2, 3))
    with pytest.raises(UnsupportedError, match=r"use torch\.linalg\.vector_norm"):
        operate(graph, "linalg_norm", (x, 1, (1, 2)), {})


def test_what_keeps_its_size_is_copied_by_a_resize() -> None:
    graph, x = graph_of((1, 4))
    same = operate(graph, "interpolate", (x,), {"scale_factor": 1.2, "mode": "linear"})
    values = np.random.default_rng(0).normal(size=(ROWS, 1, 4))
    assert (computed(graph, values, same).reshape(values.shape) == values).all()


@pytest.mark.parametrize(("operation", "args"), [("slice", ()), ("slice_scatter", (np.zeros((1, 3)),))])
def test_a_slice_that_ends_after_several_times_the_rows_is_rejected(operation: str, args: tuple[Any, ...]) -> None:
    graph, x = graph_of((3,))
    with pytest.raises(UnsupportedError, match=r"ends a slice after 2 \* rows"):
        operate(graph, operation, (x, *args, 0, 0, RowCount(2)), {})
