"""Networks as ONNX models: onnxruntime computes what we compute, and the way back ends at the same digest."""

from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from forwardpass import importers, spec
from forwardpass.exporters import onnx as exporter
from forwardpass.exporters.onnx import export
from forwardpass.importers import ParityError
from forwardpass.onnx_form import runner, write
from forwardpass.spec import NetworkSpec
from forwardpass.spec.activations import ACTIVATIONS
from forwardpass.spec.layers import KINDS
from forwardpass.spec.recurrence import GATES

from tests.support.random_graphs import random_graph
from tests.support.random_layers import STEPS, random_layer

DTYPES = ["float64", "float32"]
CITY = {"name": "city", "kind": "category", "categories": ["a", "b"], "unknown": "a"}


def network(*layers: dict[str, Any], inputs: Any = 3, dtype: str = "float64", **more: Any) -> NetworkSpec:
    return spec.parse({"format": spec.FORMAT, "dtype": dtype, "inputs": inputs, "layers": list(layers), **more})


def check(made: NetworkSpec, tmp_path: Path) -> Any:
    """Export, write, read and import a network; return the model."""
    model = export(made)
    path = tmp_path / "m.onnx"
    path.write_bytes(model.SerializeToString())
    imported = importers.import_model(importers.load_object(str(path)))
    assert spec.digest(imported.spec) == spec.digest(made)
    assert {known.domain for known in model.opset_import} == {""}
    return model


def graphs(dtype: str) -> Any:
    """Random graphs without layers that jump where what was computed before is rounded otherwise."""
    for seed in count():
        made = random_graph(seed, dtype)
        given = {"inputs", *(group.name for group in made.inputs.groups)}
        if all(layer.kind not in STEPS or given.issuperset(layer.from_) for layer in made.layers):
            yield made


@pytest.mark.parametrize("dtype", DTYPES)
def test_random_graphs(dtype: str, tmp_path: Path) -> None:
    for made in islice(graphs(dtype), 15):
        check(made, tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_layer(kind: str, dtype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    layer = random_layer(rng, kind, 4, dtype, 5)
    check(network(layer, inputs=4, dtype=dtype, allow_non_finite_inputs=True), tmp_path)


@pytest.mark.parametrize("cell", GATES)
def test_cells_whose_state_has_no_function(cell: str, tmp_path: Path) -> None:
    """The numbers of an operator's functions are those of the functions that need some, not of all."""
    rng = np.random.default_rng(5)
    gates = GATES[cell] * 2
    arrays = {"weights": rng.normal(size=(gates, 3)), "recurrent_weights": rng.normal(size=(gates, 2))}
    layer = {"kind": "recurrent", "cell": cell, "steps": 2, "state_activation": "identity", **arrays}
    check(network(layer, inputs=6, dtype="float32"), tmp_path)


def test_an_infinite_first_value_leaves_the_initial_state_0() -> None:
    layer = {"kind": "recurrent", "cell": "rnn", "steps": 2, "weights": [[1]], "recurrent_weights": [[1]]}
    model = export(network(layer, inputs=2, allow_non_finite_inputs=True))
    rows = {value.name: np.array([[np.inf, 0]]) for value in model.graph.input}
    (outputs,) = runner(model).run(rows)
    np.testing.assert_allclose(outputs, [[1, np.tanh(1)]], rtol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation(name: str, dtype: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    layer = {"weights": rng.normal(size=(4, 3)), "bias": rng.normal(size=4), "activation": name}
    check(network(layer, dtype=dtype), tmp_path)


@pytest.mark.parametrize("dtype", DTYPES)
def test_scaled_outputs_of_two_layers_and_typed_features(dtype: str, tmp_path: Path) -> None:
    made = network(
        {"name": "one", "weights": [[0.5, 2, 1], [1, -1, 0]], "activation": "tanh"},
        {"name": "two", "from": ["inputs", "one"], "merge": "concatenate", "weights": [[1, 0, 2, 3, 4]]},
        dtype=dtype,
        inputs=[CITY, "x", {"name": "y", "missing": 0}],
        output_layers=["one", "two"],
        outputs=["a", {"name": "b", "scale": 0.1, "unit": "m"}, {"name": "c", "scale": 3, "shift": -1}],
    )
    check(made, tmp_path)


EXPRESSIONS: dict[str, Any] = {
    "in pieces": "where(x > 0 and not (x >= 1 or x == 0.5), x, min(abs(x), 2) ** 1.5)",
    "digits near 0": "expm1(x * 1e-9) + log1p(x * x * 1e-9) * 1e3",
    "tails": "erf(x) - erfc(x) / 2",
    "no function at all": "x",
    "a parameter": {"expression": "where(x != a, clip(x, -a, a), 0)", "parameters": {"a": 2.0}},
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("expression", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_functions_of_a_networks_own(expression: Any, dtype: str, tmp_path: Path) -> None:
    activation = expression if isinstance(expression, dict) else {"expression": expression}
    weights = [[1.0, 0.5, -1.0], [0.25, 2.0, 1.0]]
    check(network({"weights": weights, "activation": activation}, dtype=dtype), tmp_path)


def test_names_facts_and_examples_come_back(tmp_path: Path) -> None:
    check(
        network(
            {"name": "hidden", "weights": [[1.0, -0.0], [0.1, 2.0]], "nodes": ["up", "down"], "activation": "relu"},
            {"name": "score", "weights": [[1.0, 1.0]], "activation": "sigmoid"},
            inputs=[{"name": "age", "mean": 40, "scale": 12, "unit": "years"}, "income"],
            classes=["no", "yes"],
            description="Whether they will buy.",
            metadata={"owner": "sales"},
            tags=["demo"],
            numerics="exact",
            examples=[{"inputs": [40, 1], "outputs": [0.9502574682235718], "tolerance": 0.1}],
        ),
        tmp_path,
    )


def test_the_fill_value_of_a_missing_input() -> None:
    features: Any = [
        {"name": "age", "mean": 40, "scale": 10, "missing": 30},
        {"name": "member", "kind": "boolean", "missing": True},
        "income",
    ]
    model = export(network({"weights": [[1.0, 2.0, 3.0]]}, inputs=features))
    (response,) = runner(model).run({"inputs": np.array([[np.nan, np.nan, 1.0], [40, 0, 1]])})
    assert response.tolist() == [[-1 + 2 + 3], [3]]


MLP = network({"weights": [[1.0, 2.0, 3.0]], "activation": "tanh"}, {"weights": [[2.0]]})


def test_a_changed_export_is_read_as_a_graph() -> None:
    model = export(MLP)
    (weights,) = (tensor for tensor in model.graph.initializer if tensor.name == "layer_1/weights")
    weights.CopyFrom(onnx.numpy_helper.from_array(np.array([[-2.0]]), weights.name))
    imported = importers.import_model(model)
    assert imported.spec.layers[-1].weights.tolist() == [[-2.0]]
    model.graph.node[-1].op_type = "Neg" if model.graph.node[-1].op_type != "Neg" else "Abs"
    assert spec.digest(importers.import_model(model).spec) != spec.digest(MLP)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"layers": 3}', '{"layers": [{"name": []}]}', "[" * 100_000])
def test_metadata_that_is_no_spec_is_passed_over(text: str) -> None:
    model = export(MLP)
    model.metadata_props[0].value = text
    imported = importers.import_model(model)
    assert [layer.activation.name for layer in imported.spec.layers] == ["tanh", "identity"]


def test_a_network_can_be_imported_under_another_description() -> None:
    imported = importers.import_model(export(MLP), description="again", tags=["copy"])
    assert imported.spec.description == "again"
    assert imported.spec.tags == ("copy",)
    assert imported.certificate.covers(imported.spec)


def test_a_model_that_computes_something_else_is_not_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    other = network({"weights": [[1.0, 2.0, 3.0]], "activation": "sigmoid"}, {"weights": [[2.0]]})
    monkeypatch.setattr(exporter, "write", lambda _: write(other))
    with pytest.raises(ParityError, match="nothing was written"):
        export(MLP)


def test_equal_networks_are_equal_bytes() -> None:
    one, other = (write(random_graph(11)).SerializeToString(deterministic=True) for _ in range(2))
    assert one == other
