"""Graphs over tokens: attention, its residual sum and the layers after it, computed without copies, and traced."""

import tracemalloc
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from forwardpass import spec
from forwardpass_server.core import Plan, forward, graph_steps, tokens, trace
from forwardpass_server.core.graph import max_held_values
from forwardpass_server.core.plan import MAX_VALUES_OF_FULL_STEPS
from forwardpass_server.registry.compile import compile_plan

_Arrays = dict[str, npt.NDArray[np.floating[Any]]]

SHAPES = [(16, 32, 1), (16, 32, 4), (5, 6, 2), (7, 3, 3), (1, 4, 2), (4, 1, 1)]
"""Tokens, channels and heads."""


def weights_of(rng: np.random.Generator, channels: int) -> _Arrays:
    """Weights and biases of queries, keys and values, and of the layers after them; the bias of the keys is 0."""
    shapes = {"q": channels, "k": channels, "v": channels, "wide": 2 * channels, "narrow": channels}
    reads = dict.fromkeys(shapes, channels) | {"narrow": 2 * channels}
    arrays = {name: rng.standard_normal((rows, reads[name])) / reads[name] ** 0.5 for name, rows in shapes.items()}
    return arrays | {f"{name}_bias": rng.standard_normal(rows) * (name != "k") for name, rows in shapes.items()}


def attention(count: int, channels: int, heads: int, arrays: _Arrays) -> list[dict[str, Any]]:
    """Attention over tokens as an importer writes it: each `take` turns filters x tokens."""
    size, places = channels // heads, np.arange(channels * count).reshape(channels, count)
    by_head = places.reshape(heads, size, count).swapaxes(1, 2).ravel()
    by_token = np.arange(channels * count).reshape(heads, count, size).swapaxes(0, 1).ravel()
    shared = {"kind": "conv", "input_shape": [1, count, channels], "kernel_shape": [1, channels]}

    def take(name: str, source: str, indices: Any) -> dict[str, Any]:
        return {"name": name, "from": source, "kind": "take", "indices": indices}

    def product(name: str, left: str, right: str, inner: int, columns: int) -> dict[str, Any]:
        sizes = {"groups": heads, "rows": count, "inner": inner, "columns": columns}
        return {"name": name, "kind": "matmul", "from": [left, right], "merge": "concatenate", **sizes}

    return [
        *(
            {"name": name, "from": "inputs", **shared, "weights": arrays[name], "bias": arrays[f"{name}_bias"]}
            for name in "qkv"
        ),
        take("queries", "q", by_head),
        product("scores", "queries", "k", size, count),
        {"name": "shares", "kind": "group_softmax", "groups": heads * count},
        take("values", "v", by_head),
        product("heads", "shares", "values", count, size),
        take("mixed", "heads", by_token),
        {
            "name": "wide",
            "from": ["inputs", "mixed"],
            "merge": "sum",
            **shared,
            "activation": "tanh",
            "weights": arrays["wide"],
            "bias": arrays["wide_bias"],
        },
        {
            "name": "narrow",
            "kind": "conv",
            "input_shape": [2 * channels, count],
            "kernel_shape": [1],
            "weights": arrays["narrow"],
            "bias": arrays["narrow_bias"],
        },
        take("turned", "narrow", places.T.ravel()),
    ]


def expected(rows: npt.NDArray[Any], count: int, channels: int, heads: int, arrays: _Arrays) -> npt.NDArray[Any]:
    """What `attention` computes, in loops over rows and heads."""
    result = []
    for row in rows.astype(float).reshape(-1, count, channels):
        q, k, v = (row @ arrays[name].T + arrays[f"{name}_bias"] for name in "qkv")
        mixed = np.zeros((count, channels))
        for head in np.split(np.arange(channels), heads):
            shares = np.exp(q[:, head] @ k[:, head].T)
            mixed[:, head] = shares / shares.sum(axis=1, keepdims=True) @ v[:, head]
        wide = np.tanh((row + mixed) @ arrays["wide"].T + arrays["wide_bias"])
        result.append((wide @ arrays["narrow"].T + arrays["narrow_bias"]).ravel())
    return np.array(result)


def plan_of(
    layers: list[dict[str, Any]], inputs: int, dtype: str, outputs: list[str] | None = None, **settings: Any
) -> Plan:
    document = {"format": spec.FORMAT, "dtype": dtype, "inputs": inputs, "layers": layers, **settings}
    return compile_plan(spec.parse(document | ({"output_layers": outputs} if outputs else {})))


def rows_of(rng: np.random.Generator, count: int, width: int, dtype: str) -> npt.NDArray[Any]:
    return rng.standard_normal((count, width)).astype(dtype)


def bits(outputs: npt.NDArray[Any]) -> bytes:
    """The bits of outputs, all NaN alike."""
    return np.where(np.isnan(outputs), np.nan, outputs).tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_attention_is_computed_as_in_loops_with_the_bits_of_its_trace(shape: tuple[int, int, int], dtype: str) -> None:
    count, channels, _ = shape
    rng = np.random.default_rng(sum(shape))
    arrays = weights_of(rng, channels)
    plan = plan_of(attention(*shape, arrays), count * channels, dtype)
    rows = rows_of(rng, 9, count * channels, dtype)
    together, traced = forward(plan, rows), trace(plan, rows)
    tolerance = 1e-12 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(together, expected(rows, *shape, arrays), rtol=tolerance, atol=tolerance)
    assert traced.outputs.tobytes() == together.tobytes()
    for index in (0, 4, 8):
        alone = trace(plan, rows[index : index + 1])
        assert forward(plan, rows[index : index + 1]).tobytes() == together[index].tobytes()
        for one, other in zip(alone.layers, traced.layers, strict=True):
            assert one.activation.tobytes() == other.activation[index].tobytes(), one.name
    assert forward(plan, rows[:0]).shape == (0, count * channels)


def test_products_of_the_same_tokens_are_one_step_and_takes_are_none() -> None:
    shape = 16, 32, 4
    plan = plan_of(attention(*shape, weights_of(np.random.default_rng(1), 32)), 512, "float64")
    assert plan.graph_steps is not None
    # q and v; k, which has no bias; scores; shares; heads; mixed; the sum; wide; and narrow, whose tokens are as read.
    assert len(plan.graph_steps.steps) == 9


def test_products_of_the_tokens_of_input_groups_are_stacked_by_group() -> None:
    rng = np.random.default_rng(6)
    groups = [{"name": name, "width": 32} for name in "ab"]
    conv = {"kind": "conv", "input_shape": [1, 4, 8], "kernel_shape": [1, 8]}
    weights, reads = rng.standard_normal((4, 3, 8)), "abba"
    layers = [{"name": f"of_{at}", "from": name, **conv, "weights": weights[at]} for at, name in enumerate(reads)]
    names = [layer["name"] for layer in layers]
    plan = plan_of(layers, 64, "float64", names, input_groups=groups)
    rows = rows_of(rng, 3, 64, "float64")
    tokens_of = dict(zip("ab", rows.reshape(3, 2, 4, 8).swapaxes(0, 1), strict=True))
    sums = [(tokens_of[name] @ weights[at].T).swapaxes(1, 2).reshape(3, -1) for at, name in enumerate(reads)]
    together = forward(plan, rows)
    np.testing.assert_allclose(together, np.concatenate(sums, axis=1), rtol=1e-12, atol=1e-12)
    assert trace(plan, rows).outputs.tobytes() == together.tobytes()


def wide_and_taken(rng: np.random.Generator, blocks: int, filters: int, *, one_after_the_other: bool) -> Plan:
    """Blocks of a wide product of 8 tokens and a `take` of 32 of its values, which are all read at the end."""
    indices = np.arange(4 * 8).reshape(4, 8).T.ravel()
    conv = {"kind": "conv", "input_shape": [1, 8, 4], "kernel_shape": [1, 4]}
    layers: list[dict[str, Any]] = []
    for at in range(blocks):
        before = f"take_{at - 1}" if at and one_after_the_other else "inputs"
        weights = rng.standard_normal((filters, 4))
        layers.append({"name": f"conv_{at}", "from": before, **conv, "weights": weights, "bias": np.zeros(filters)})
        layers.append({"name": f"take_{at}", "from": f"conv_{at}", "kind": "take", "indices": indices})
    takes = [f"take_{at}" for at in range(blocks)]
    layers.append({"name": "end", "from": takes, "merge": "concatenate", "kind": "dropout"})
    return plan_of(layers, 32, "float64")


@pytest.mark.parametrize("one_after_the_other", [False, True])
def test_steps_of_wide_products_hold_what_the_rows_of_a_step_are_sized_by(one_after_the_other: bool) -> None:
    rng = np.random.default_rng(7)
    plan = wide_and_taken(rng, 20, 512, one_after_the_other=one_after_the_other)
    rows = rows_of(rng, plan.max_step_rows, 32, "float64")
    steps = plan.graph_steps
    assert steps is not None
    tracemalloc.start()
    steps.compute(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    values = MAX_VALUES_OF_FULL_STEPS * 128
    if one_after_the_other:  # each product is freed when its 32 values are copied
        values = len(rows) * max_held_values(plan.layers, plan.edges, plan.inputs)
    assert peak < 1.1 * values * 8
    assert trace(plan, rows[:3]).outputs.tobytes() == forward(plan, rows)[:3].tobytes()


@pytest.mark.parametrize("outputs", [["values", "k", "end"], ["end", "scores", "turned"], ["end"]])
def test_layers_among_the_steps_are_outputs_and_read_by_later_layers(outputs: list[str]) -> None:
    shape = 5, 6, 2
    rng = np.random.default_rng(2)
    layers = attention(*shape, weights_of(rng, 6))
    dense = {"weights": rng.standard_normal((3, 30)), "activation": "sigmoid"}
    layers += [
        {"name": "first", "from": "turned", **dense},
        {"name": "again", "from": ["inputs", "values"], "merge": "sum", **dense},
    ]
    layers += [{"name": "end", "from": ["first", "again"], "merge": "multiply", "kind": "dropout"}]
    plan = plan_of(layers, 30, "float32", outputs)
    rows = rows_of(rng, 11, 30, "float32")
    traced, together = trace(plan, rows), forward(plan, rows)
    by_name = {layer.name: layer.activation for layer in traced.layers}
    assert together.tobytes() == np.concatenate([by_name[name] for name in outputs], axis=1).tobytes()
    assert forward(plan, rows[3:4]).tobytes() == together[3].tobytes()


@pytest.mark.parametrize("given", [None, np.nan, np.inf, -0.0, 1e300])
def test_rows_beside_unusual_ones_keep_their_bits(given: float | None) -> None:
    rng = np.random.default_rng(3)
    plan = plan_of(attention(5, 6, 2, weights_of(rng, 6)), 30, "float64")
    rows = rows_of(rng, 4, 30, "float64")
    rows[1, :7] = rows[1, :7] if given is None else given
    together = bits(forward(plan, rows))
    assert bits(trace(plan, rows).outputs) == together
    assert b"".join(bits(forward(plan, rows[index : index + 1])) for index in range(4)) == together


@pytest.mark.parametrize("activation", ["softmax", "log_softmax", "sparsemax", "relu"])
def test_activations_of_all_nodes_have_the_bits_of_their_trace(activation: str) -> None:
    rng = np.random.default_rng(5)
    layers = attention(5, 6, 2, weights_of(rng, 6))
    for layer in layers[:3]:
        layer["activation"] = activation
    plan, rows = plan_of(layers, 30, "float32"), rows_of(rng, 5, 30, "float32")
    assert trace(plan, rows).outputs.tobytes() == forward(plan, rows).tobytes()


def test_products_with_other_bits_side_by_side_are_computed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    arrays, rows = weights_of(rng, 6), rng.standard_normal((3, 30))
    monkeypatch.setattr(tokens, "_are_same", lambda _: False)
    monkeypatch.setattr(graph_steps, "is_matrix", lambda _: False)
    plan = plan_of(attention(5, 6, 2, arrays), 30, "float64")
    np.testing.assert_allclose(forward(plan, rows), expected(rows, 5, 6, 2, arrays), rtol=1e-12, atol=1e-12)
    assert trace(plan, rows).outputs.tobytes() == forward(plan, rows).tobytes()


def test_reading_in_place_is_tried_with_the_weights_of_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    multiply, rng = np.matmul, np.random.default_rng(8)

    def other_bits_in_place(left: npt.NDArray[Any], right: npt.NDArray[Any], *args: Any, **settings: Any) -> Any:
        """A BLAS that adds in another order where it reads tokens in place and weights row by row."""
        products = multiply(left, right, *args, **settings)
        is_other = not left.flags.c_contiguous and right.flags.c_contiguous
        return np.nextafter(products, np.inf) if is_other else products

    monkeypatch.setattr(np, "matmul", other_bits_in_place)
    conv = {"from": "b", "kind": "conv", "input_shape": [1, 4, 8], "kernel_shape": [1, 8]}
    layers = [{"name": name, **conv, "weights": rng.standard_normal((3, 8))} for name in ("q", "k")]
    layers.append({"name": "all", "from": ["a", "b"], "merge": "sum", "kind": "dropout"})
    groups = [{"name": name, "width": 32} for name in "ab"]
    plan = plan_of(layers, 64, "float64", ["q", "k", "all"], input_groups=groups)
    rows = rows_of(rng, 3, 64, "float64")
    assert trace(plan, rows).outputs.tobytes() == forward(plan, rows).tobytes()


def test_a_lone_row_keeps_its_outputs_while_others_are_computed() -> None:
    rng = np.random.default_rng(11)
    small, wide = (plan_of(attention(count, 6, 2, weights_of(rng, 6)), 6 * count, "float32") for count in (5, 7))
    rows, others = rows_of(rng, 3, 30, "float32"), rows_of(rng, 3, 42, "float32")
    found = []
    for row, other in zip(rows, others, strict=True):
        found.append(forward(small, row[np.newaxis]))
        forward(wide, other[np.newaxis])
    assert np.concatenate(found).tobytes() == forward(small, rows).tobytes()
