"""Compilation of specs, and the errors of examples that do not hold."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forwardpass import spec
from forwardpass.errors import DeadlineExceededError, ExampleFailedError, QuotaExceededError
from forwardpass.numerics import Numerics
from forwardpass.spec import NetworkSpec
from forwardpass_server.core import forward
from forwardpass_server.registry import LoadedVersion
from forwardpass_server.registry.builtin import builtin_networks
from forwardpass_server.registry.compile import MAX_FAULTS, check_examples, compile_plan
from forwardpass_server.registry.summary import summarize

from tests.support.sample_networks import tiny

EXAMPLES = Path(__file__).parents[3] / "examples"


def check(network: spec.NetworkSpec) -> None:
    check_examples(network, compile_plan(network))


def example(output: float, tolerance: float | None = None, row: float = 1) -> dict[str, Any]:
    said: dict[str, Any] = {"inputs": [row], "outputs": [output]}
    return said if tolerance is None else {**said, "tolerance": tolerance}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_plan_computes_the_spec(dtype: str) -> None:
    random = np.random.default_rng(seed=7)
    first, second, bias = (random.standard_normal(shape).astype(dtype) for shape in ((4, 3), (2, 4), 4))
    network = spec.parse(
        {
            "format": spec.FORMAT,
            "dtype": dtype,
            "inputs": [{"name": name, "mean": 0.5, "scale": 2.0} for name in "abc"],
            "layers": [
                {
                    "name": "hidden",
                    "weights": first,
                    "bias": bias,
                    "activation": {"name": "leaky_relu", "negative_slope": 0.125},
                },
                {"name": "out", "weights": second},
            ],
        }
    )
    rows = random.standard_normal((5, 3)).astype(dtype)
    hidden = ((rows - 0.5) / 2) @ first.T + bias
    expected = np.where(hidden > 0, hidden, 0.125 * hidden) @ second.T
    outputs = forward(compile_plan(network), rows)
    assert outputs.dtype == dtype
    np.testing.assert_allclose(outputs, expected, rtol=1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (4, 3)])
def test_plan_shares_no_memory_with_the_file(shape: tuple[int, int]) -> None:
    inputs = [{"name": f"f{index}", "mean": 1.0, "scale": 2.0} for index in range(shape[1])]
    layer = {"name": "only", "weights": np.ones(shape), "bias": np.ones(shape[0])}
    content = spec.to_safetensors(spec.parse({"format": spec.FORMAT, "inputs": inputs, "layers": [layer]}))
    plan = compile_plan(spec.from_safetensors(content))
    whole = np.frombuffer(content, dtype=np.uint8)
    for array in (plan.mean, plan.scale, plan.dense[0].weights, plan.dense[0].columns, plan.dense[0].bias):
        assert array is not None
        assert not np.may_share_memory(array, whole)
        assert not array.flags.writeable


@pytest.mark.parametrize("said", [None, "exact", "fast"])
@pytest.mark.parametrize("default", ["exact", "fast"])
def test_numerics_of_the_spec_or_the_server(said: Numerics | None, default: Numerics) -> None:
    network = replace(builtin_networks()["article-linear"], numerics=said)
    plan = compile_plan(network, default)
    assert plan.fast == ((said or default) == "fast")
    assert (
        LoadedVersion.of("net", 1, "", network, plan).numerics
        == summarize(network, default).numerics
        == (said or default)
    )
    check_examples(network, plan)


@pytest.mark.parametrize("name", ["residual", "wide_and_deep"])
@pytest.mark.parametrize("numerics", ["exact", "fast"])
def test_example_graphs(name: str, numerics: Numerics) -> None:
    network = spec.load(EXAMPLES / "graphs" / f"{name}.json")
    assert network.examples
    assert not network.is_chain
    check_examples(network, compile_plan(network, numerics))


def test_names_of_merged_values() -> None:
    network = spec.load(EXAMPLES / "graphs" / "wide_and_deep.json")
    loaded = LoadedVersion.of("net", 1, "", network, compile_plan(network))
    deep_0, _, buys, spends = map(loaded.reads, loaded.plan.layers)
    assert deep_0 == ("visits", "clicks", "minutes")
    assert buys == ("age", "income", "deep_1_0", "deep_1_1")
    assert spends == ("mean(age, deep_1_0)", "mean(income, deep_1_1)")
    wide = [{"name": name, "weights": np.ones((600, 1)), "from": "inputs"} for name in "ab"]
    last = {"weights": np.ones((1, 600)), "from": ["a", "b"], "merge": "max"}
    many = spec.parse({"format": spec.FORMAT, "inputs": 1, "layers": [*wide, last]})
    loaded = LoadedVersion.of("net", 1, "", many, compile_plan(many))
    assert loaded.reads(loaded.plan.layers[-1])[:2] == ("max_0", "max_1")


@pytest.mark.parametrize(
    ("dtype", "weight", "said"),
    [
        pytest.param("float64", 1.0, example(1.0, 0.0), id="exact"),
        pytest.param("float64", 1.0, example(1.0 + 9e-10), id="default of float64"),
        pytest.param("float64", 1e6, example(1e6 + 9e-4), id="default of float64, relative above 1"),
        pytest.param("float32", 1.0, example(1.0 + 9e-5), id="default of float32"),
        pytest.param("float64", 1.0, example(1.5, 0.5), id="tolerance"),
    ],
)
def test_examples_that_hold(dtype: str, weight: float, said: dict[str, Any]) -> None:
    check(tiny(weight, dtype=dtype, examples=[said]))


@pytest.mark.parametrize(
    ("dtype", "weight", "said"),
    [
        pytest.param("float64", 1.0, example(math.nextafter(1, 2), 0.0), id="exact"),
        pytest.param("float64", 1.0, example(1.0 + 2e-9), id="default of float64"),
        pytest.param("float64", 1e6, example(1e6 + 2e-3), id="default of float64, relative above 1"),
        pytest.param("float64", 1e6, example(1e6 + 9e-4, 1e-9), id="a tolerance is absolute"),
        pytest.param("float32", 1.0, example(1.0 + 2e-4), id="default of float32"),
        pytest.param("float64", 1e300, example(0.0, 1e300, row=1e300), id="infinity"),
    ],
)
def test_examples_that_do_not_hold(dtype: str, weight: float, said: dict[str, Any]) -> None:
    with pytest.raises(ExampleFailedError):
        check(tiny(weight, dtype=dtype, examples=[said]))


def test_nan_fails_an_example() -> None:
    layers = [
        {"name": "huge", "weights": [[1e200], [1e200]], "activation": "square"},
        {"name": "nan", "weights": [[1.0, -1.0]]},
    ]
    said = {"inputs": [1], "outputs": [0], "tolerance": 1e300}
    network = spec.parse({"format": spec.FORMAT, "inputs": 1, "layers": layers, "examples": [said]})
    with pytest.raises(ExampleFailedError) as failed:
        check(network)
    assert failed.value.facts["actual"] == "nan"


def test_each_failed_example_is_listed_with_its_worst_output() -> None:
    layer = {"name": "only", "weights": [[1], [2], [3]]}
    said = [
        {"inputs": [1], "outputs": [1, 2, 3]},
        {"inputs": [1], "outputs": [1.25, 4, 3]},
        {"inputs": [2], "outputs": [2, 4, 6.5], "tolerance": 0.25},
    ]
    document = {"format": spec.FORMAT, "inputs": 1, "layers": [layer], "outputs": ["a", "b", "c"]}
    with pytest.raises(ExampleFailedError, match="2 of the spec's 3 examples") as failed:
        check(spec.parse({**document, "examples": said}))
    first, second = failed.value.faults
    assert (first.path, second.path) == ("spec.examples[1].outputs[1]", "spec.examples[2].outputs[2]")
    assert first.message == "expected 4, computed 2, tolerance 4e-09"
    assert second.message == "expected 6.5, computed 6, tolerance 0.25"
    assert failed.value.facts == {
        "example": "1",
        "output": "b",
        "expected": "4",
        "actual": "2",
        "tolerance": "4.0000000000000002e-09",
        "failedCount": "2",
    }


def test_long_lists_of_faults_are_cut() -> None:
    said = [example(0.0, row=index + 1) for index in range(MAX_FAULTS + 7)]
    with pytest.raises(ExampleFailedError) as failed:
        check(tiny(1, examples=said))
    assert len(failed.value.faults) == MAX_FAULTS + 1
    assert failed.value.faults[-1].message.startswith("7 more")


def _slow(examples: int) -> NetworkSpec:
    """A network of which an example takes some milliseconds."""
    layers = [{"weights": [[0.5]] * 20_000}, {"kind": "dropout", "rate": 0.5, "activation": {"expression": "sin(x)"}}]
    given = [{"inputs": [index / 10], "outputs": [0] * 20_000, "tolerance": 1e9} for index in range(examples)]
    return spec.parse({"format": "forwardpass.network/1", "inputs": 1, "layers": layers, "examples": given})


def test_examples_end_soon_after_they_are_not_wanted() -> None:
    network, looks = _slow(200), iter([True, False])
    with pytest.raises(DeadlineExceededError):
        check_examples(network, compile_plan(network), is_wanted=lambda: next(looks))
    assert next(looks, None) is None


def test_examples_that_take_too_much_are_not_begun() -> None:
    network = _slow(3)
    plan = compile_plan(network)
    gflop = 3 * plan.flops_per_row / 1e9
    check_examples(network, plan, max_gflop=1.01 * gflop)
    with pytest.raises(QuotaExceededError, match="max_gflop_per_call"):
        check_examples(network, plan, max_gflop=0.99 * gflop, is_wanted=lambda: False)
