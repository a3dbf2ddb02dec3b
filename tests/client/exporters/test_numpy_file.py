"""The exported Python file computes what the server's core computes, in a process with numpy alone."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forwardpass import exporters, spec
from forwardpass.errors import InvalidFieldError, InvalidNetworkError
from forwardpass.exporters import numpy_file
from forwardpass.importers import import_model
from forwardpass.importers.reference import compute
from forwardpass.spec.activations import ACTIVATIONS
from forwardpass.spec.forms import loads
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import compile_plan
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from tests.support import random_features as features
from tests.support.random_expressions import texts
from tests.support.random_graphs import random_graph

ROOT = Path(__file__).parents[3]
DTYPES = st.sampled_from(["float32", "float64"])


def module_of(network: spec.NetworkSpec) -> dict[str, Any]:
    """Run an exported file, not as the main program; return its names."""
    names: dict[str, Any] = {"__name__": "exported"}
    exec(compile(numpy_file.write(network), "exported.py", "exec"), names)  # noqa: S102 - it is what is tested
    return names


def check(network: spec.NetworkSpec, rows: Any) -> None:
    """Compare an exported file with the core, on rows."""
    with np.errstate(all="ignore"):
        expected = forward(compile_plan(network), rows.astype(network.dtype))
    actual = module_of(network)["predict"](rows)
    assert actual.dtype == expected.dtype == network.dtype
    tolerance = {"float64": 1e-11, "float32": 2e-4}[network.dtype]
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)
    assert spec.digest(numpy_file.read(numpy_file.write(network))) == spec.digest(network)


def check_random_graph(seed: int, dtype: str) -> None:
    network = random_graph(seed, dtype)
    check(network, np.random.default_rng(seed).standard_normal((5, network.inputs.width)))


SEEDS = st.integers(0, 2**32 - 1)
test_random_graphs = settings(max_examples=15)(given(SEEDS, DTYPES)(check_random_graph))
test_many_random_graphs = pytest.mark.prove(settings(max_examples=1_000)(given(SEEDS, DTYPES)(check_random_graph)))


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_function(name: str, dtype: str) -> None:
    layers = [{"weights": np.eye(3).tolist(), "activation": name}]
    network = spec.parse({"format": spec.FORMAT, "dtype": dtype, "inputs": 3, "layers": layers})
    check(network, np.random.default_rng(0).normal(scale=3, size=(50, 3)))


@given(texts(), DTYPES)
@settings(max_examples=15)
def test_own_functions(text: str, dtype: str) -> None:
    """The reference does the same operations, so not a bit may differ."""
    layers = [{"weights": [[1.0]], "activation": {"expression": text}}]
    try:
        network = spec.parse({"format": spec.FORMAT, "dtype": dtype, "inputs": 1, "layers": layers})
    except InvalidNetworkError:
        reject()  # a constant part has no value
    rows = np.array([[-3.0], [-0.5], [0.0], [0.25], [1.0], [7.0]])
    np.testing.assert_array_equal(module_of(network)["predict"](rows), compute(network, rows))


ALONE = """if True:
    import sys
    sys.path.insert(0, sys.argv[1])
    import json, numpy, exported
    assert not any(name.partition(".")[0] in {"forwardpass", "forwardpass_server"} for name in sys.modules)
    rows = json.load(sys.stdin)
    labels = exported.labels(rows) if hasattr(exported, "labels") else []
    print(json.dumps([exported.predict(rows).tolist(), labels]))
"""


@pytest.mark.parametrize(
    "name", ["breast_cancer/network", "diabetes/network", "graphs/residual", "graphs/wide_and_deep"]
)
def test_it_runs_alone(name: str, tmp_path: Path) -> None:
    network = spec.load(ROOT / "examples" / f"{name}.json")
    file = tmp_path / "exported.py"
    file.write_bytes(exporters.export(network, str(file)))
    ran = subprocess.run([sys.executable, "-I", str(file)], capture_output=True, text=True, timeout=120, check=True)
    assert ran.stdout == f"{len(network.examples)} examples, 0 of which do not hold\n"
    rows = [list(example.inputs) for example in network.examples]
    alone = [sys.executable, "-I", "-c", ALONE, str(tmp_path)]
    ran = subprocess.run(alone, input=json.dumps(rows), capture_output=True, text=True, timeout=120, check=True)
    outputs, labels = json.loads(ran.stdout)
    np.testing.assert_allclose(outputs, forward(compile_plan(network), np.array(rows)), rtol=1e-9)
    assert set(labels) <= set(network.classes)
    assert bool(labels) == bool(network.classes)


def network_of(**fields: Any) -> spec.NetworkSpec:
    layers = [{"name": "only", "weights": [[1.0, 2.0]]}]
    return spec.parse({"format": spec.FORMAT, "inputs": ["a", "b"], "layers": layers, **fields})


def test_an_example_that_does_not_hold(tmp_path: Path) -> None:
    file = tmp_path / "exported.py"
    file.write_bytes(numpy_file.write(network_of(examples=[{"inputs": [1, 1], "outputs": [4]}])))
    ran = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stdout.splitlines()[0]) == (1, "example 0: expected [4.0], computed [3.0]")


def test_rows_in_every_form() -> None:
    names = module_of(network_of())
    for rows in ([1, 1], [[1, 1]], {"b": 1, "a": 1}, [{"a": 1, "b": 1}], np.ones((1, 2), np.float32)):
        assert names["predict"](rows).tolist() == [[3.0]]
    for wrong, words in (([1], "shape"), ([1, float("nan")], "NaN"), ([[[1, 2]]], "shape")):
        with pytest.raises(ValueError, match=words):
            names["predict"](wrong)


QUOTES = "'''\"\"\"\\')]}\n) #{0}%s"


def test_no_text_of_a_spec_is_run() -> None:
    network = network_of(
        inputs=[{"name": "a b", "description": QUOTES}, "b"],
        outputs=["x'\"\\"],
        classes=["'''", '"""'],
        description=QUOTES,
        metadata={"k": QUOTES},
        layers=[{"name": "only", "weights": [[1.0, 2.0]], "activation": "sigmoid"}],
    )
    names = module_of(network)
    assert (names["INPUTS"], names["OUTPUTS"], names["CLASSES"]) == (["a b", "b"], ["x'\"\\"], ["'''", '"""'])
    assert names["labels"]([1.0, 1.0]) == ['"""']
    assert numpy_file.read(numpy_file.write(network)) == network


def test_the_same_network_gives_the_same_file() -> None:
    assert numpy_file.write(network_of()) == numpy_file.write(network_of())


def test_reading_runs_nothing(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    content = numpy_file.write(network_of()).decode()
    trap = f"open({str(touched)!r}, 'w')\n{content}\nopen({str(touched)!r}, 'w')\n"
    assert numpy_file.read(trap.encode()) == network_of()
    assert not touched.exists()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"print('hello')", "has no network"),
        (b"\xff", "cannot be read"),
        (b'CONTENT = (\n    "AAA"\n)\n', "cannot be read"),
        (b'CONTENT = (\n    "AAAA"\n)\n', "file"),
        (b'CONTENT = (\n    open("x")\n)\n', "has no network"),
        (b"CONTENT = (\n", "has no network"),
    ],
)
def test_files_without_a_network_are_rejected(content: bytes, words: str) -> None:
    with pytest.raises(InvalidNetworkError, match=words):
        numpy_file.read(content)


@pytest.mark.parametrize("suffix", [".json", ".safetensors", ".PY"])
def test_every_kind_of_file_reads_back_as_the_same_digest(suffix: str) -> None:
    network = random_graph(5)
    content = exporters.export(network, f"network{suffix}")
    read = numpy_file.read if suffix == ".PY" else loads
    assert spec.digest(read(content)) == spec.digest(network)


def test_onnx() -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    network = network_of(examples=[{"inputs": [1, 1], "outputs": [3]}])
    model = onnx.load_from_string(exporters.export(network, "network.onnx"))
    assert spec.digest(import_model(model).spec) == spec.digest(network)


def test_unknown_kinds() -> None:
    with pytest.raises(InvalidFieldError, match=r"network\.txt is no file that a network can become"):
        exporters.export(network_of(), "network.txt")


def check_typed_features(data: st.DataObject) -> None:
    network = spec.parse(data.draw(features.documents()))
    row = [data.draw(features.values(feature)) for feature in network.inputs.features]
    read = [
        features.plain_input(feature, value, network.dtype)
        for feature, value in zip(network.inputs.features, row, strict=True)
    ]
    names = module_of(network)
    assert spec.digest(numpy_file.read(numpy_file.write(network))) == spec.digest(network)
    for rows in (row, dict(zip(network.inputs.names, row, strict=True))):
        if {odd for _, odd in read} & {"missing", "unknown", "refuse"}:
            with pytest.raises(ValueError, match=r"missing|category|range"):
                names["predict"](rows)
        else:
            expected = compute(network, np.array([[number for number, _ in read]]))
            np.testing.assert_allclose(names["predict"](rows), expected, rtol=1e-6)


test_typed_features = settings(max_examples=20)(given(st.data())(check_typed_features))
test_many_typed_features = pytest.mark.prove(settings(max_examples=1_000)(given(st.data())(check_typed_features)))


def test_the_threshold_of_a_network() -> None:
    network = network_of(
        layers=[{"weights": [[1.0, 0.0]], "activation": "sigmoid"}], classes=["no", "yes"], threshold=0.9
    )
    assert module_of(network)["labels"]([[2.0, 0.0], [3.0, 0.0]]) == ["no", "yes"]
