"""The certificate says what was compared, and no network gets one that computes something else."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from forwardpass import spec
from forwardpass.errors import (
    FeatureMismatchError,
    InvalidFieldError,
    InvalidNetworkError,
    InvalidTensorError,
    NonFiniteInputError,
    ShapeMismatchError,
)
from forwardpass.importers import Certificate, ParityError, UnsupportedModelError, content_digest, import_model
from forwardpass.importers.parity import certify, random_rows
from forwardpass.importers.reference import FUNCTIONS, compute
from forwardpass.importers.source import Source
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import check_examples, compile_plan
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from tests.support.random_graphs import random_graph

ROWS = np.arange(12.0).reshape(6, 2)
MODEL = LinearRegression().fit(ROWS, ROWS[:, 0] * 3 + 1)


def document(**changes: Any) -> Any:
    return {"format": spec.FORMAT, "inputs": 2, "layers": [{"weights": [[1, 1]]}], **changes}


def source(compute: Any) -> Source:
    return Source(
        framework="numpy 1",
        model="lambda",
        width=2,
        names=(),
        mean=None,
        scale=None,
        layers=(),
        outputs=(),
        classes=(),
        compute=compute,
    )


def total(rows: Any) -> Any:
    return rows.sum(axis=1, keepdims=True)


def test_a_certificate_comes_back_from_metadata_and_covers_its_network() -> None:
    imported = import_model(MODEL, rows=ROWS, metadata={"owner": "someone"})
    again = spec.from_safetensors(spec.to_safetensors(imported.spec))
    assert Certificate.of(again.metadata) == imported.certificate
    assert again.metadata["owner"] == "someone"
    assert imported.certificate.covers(again)
    assert imported.certificate.covers(replace(again, description="other words", tags=("new",), examples=()))
    layer = again.layers[0]
    changed = replace(again, layers=(replace(layer, arrays={**layer.arrays, "bias": layer.bias + 1}),))
    assert not imported.certificate.covers(changed)
    assert "on 6 given and 1,000 random rows" in str(imported.certificate)


@pytest.mark.parametrize("damage", [{}, {"parity given rows": "many"}, {"parity digest": None}])
def test_an_incomplete_certificate_is_none(damage: dict[str, str | None]) -> None:
    metadata = dict(import_model(MODEL).spec.metadata) if damage else {}
    metadata = {key: value for key, value in {**metadata, **damage}.items() if value is not None}
    assert Certificate.of(metadata) is None


def test_importing_again_gives_the_same_digest() -> None:
    first, second = import_model(MODEL, rows=ROWS).spec, import_model(MODEL, rows=ROWS).spec
    assert spec.digest(first) == spec.digest(second)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("off", [1.001, -1.0, np.inf, np.nan])
def test_another_function_gets_no_certificate(dtype: str, off: float) -> None:
    network = spec.parse(document(dtype=dtype))
    certify(network, source(total), ROWS, None)
    with np.errstate(all="ignore"), pytest.raises(ParityError) as caught:
        certify(network, source(lambda rows: total(rows) * off), ROWS, None)
    assert len(caught.value.faults) == 10
    assert "1,00" in caught.value.message


def test_one_number_that_differs_is_named() -> None:
    network = spec.parse(document(outputs=["sum"]))

    def once(rows: Any) -> Any:
        sums = total(rows)
        sums[2] += 1e-6
        return sums

    with pytest.raises(ParityError, match=r"1 of 1,006 rows differ by more than 1e-09.*`tolerance`") as caught:
        certify(network, source(once), ROWS, None)
    assert [str(fault) for fault in caught.value.faults] == [
        "rows[2].sum: the model computes 9.0000009999999993, the network 9"
    ]
    imported = certify(network, source(once), ROWS, 1e-6)
    assert imported.certificate.absolute == pytest.approx(1e-6)
    assert imported.certificate.relative == pytest.approx(1e-6 / 9, rel=0.5)


def test_infinity_is_equal_to_infinity_and_no_example() -> None:
    network = spec.parse(document(layers=[{"weights": [[400, 400]], "activation": "exp"}]))

    def theirs(rows: Any) -> Any:
        return np.exp(rows @ np.full((2, 1), 400.0))

    imported = certify(network, source(theirs), np.zeros((3, 2)), None)
    assert imported.certificate.relative < 1e-9
    assert 0 < len(imported.spec.examples) <= 8
    assert all(np.isfinite(example.outputs).all() for example in imported.spec.examples)


def test_differences_are_relative_to_the_size_of_outputs() -> None:
    tiny = spec.parse(document(layers=[{"weights": [[1e-9, 1e-9]]}]))
    with pytest.raises(ParityError):
        certify(tiny, source(lambda rows: total(rows) * 1.001e-9), ROWS, None)
    imported = certify(tiny, source(lambda rows: total(rows) * 1e-9), ROWS, None)
    assert all(0 < (example.tolerance or 0) < 1e-16 for example in imported.spec.examples)


def test_examples_are_computed_by_the_server() -> None:
    imported = import_model(MODEL, rows=ROWS)
    assert [example.inputs for example in imported.spec.examples] == [tuple(row) for row in ROWS.tolist()]
    check_examples(imported.spec, compile_plan(imported.spec))


@given(
    # An exponential of an exponential is soon beyond every number, and near that edge rounding decides.
    hidden=st.lists(st.sampled_from(sorted(FUNCTIONS.keys() - {"exp"})), max_size=3),
    last=st.sampled_from(sorted(FUNCTIONS)),
    dtype=st.sampled_from(["float32", "float64"]),
    seed=st.integers(0, 2**32 - 1),
)
def test_the_reference_and_the_core_agree(hidden: list[str], last: str, dtype: str, seed: int) -> None:
    names = [*hidden, last]
    generator = np.random.default_rng(seed)
    widths = generator.integers(1, 9, len(names) + 1)
    layers = [
        {
            "weights": generator.normal(size=(after, before)) / before,
            "bias": generator.normal(size=after),
            "activation": name,
        }
        for name, before, after in zip(names, widths, widths[1:], strict=False)
    ]
    features = [{"name": f"x{index}", "mean": float(index), "scale": 2.0} for index in range(widths[0])]
    network = spec.parse({"format": spec.FORMAT, "dtype": dtype, "inputs": features, "layers": layers})
    rows = random_rows(network, np.empty((0, widths[0])))[:50].astype(dtype)
    expected = compute(network, rows)
    with np.errstate(all="ignore"):
        actual = forward(compile_plan(network), rows)
    near = 1e-11 if dtype == "float64" else 1e-3
    # A cosine of a number in the thousands has few right digits in float32: how few, the reference's own error says.
    exact = compute(replace(network, dtype="float64"), rows.astype(np.float64))
    with np.errstate(invalid="ignore"):
        rounding = np.nanmax(np.abs(expected - exact), initial=0.0, where=np.isfinite(exact) & np.isfinite(expected))
    np.testing.assert_allclose(actual, expected, rtol=near, atol=near + 4 * rounding)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_reference_and_the_core_agree_on_non_finite_numbers(name: str, dtype: str) -> None:
    network = spec.parse(document(dtype=dtype, inputs=1, layers=[{"weights": [[1]], "activation": name}]))
    rows = np.array([[np.nan], [np.inf], [-np.inf], [1e30], [-1e30]], dtype)
    with np.errstate(all="ignore"):
        actual = forward(compile_plan(network), rows)
    np.testing.assert_array_equal(actual, compute(network, rows))


@given(seed=st.integers(0, 2**32 - 1), dtype=st.sampled_from(["float32", "float64"]))
def test_the_reference_and_the_core_agree_on_graphs(seed: int, dtype: str) -> None:
    network = random_graph(seed, dtype)
    rows = np.random.default_rng(seed).normal(size=(20, network.inputs.width)).astype(dtype)
    near = 1e-11 if dtype == "float64" else 1e-3
    np.testing.assert_allclose(forward(compile_plan(network), rows), compute(network, rows), rtol=near, atol=near)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_reference_and_the_core_agree_on_scaled_outputs(dtype: str) -> None:
    outputs = ["a", {"name": "b", "scale": 0.1, "shift": 7}, {"name": "c", "shift": -0.3}]
    layers = [{"weights": [[1, 2], [3, 4], [5, 6]], "activation": "tanh"}]
    network = spec.parse(document(dtype=dtype, inputs=2, layers=layers, outputs=outputs))
    rows = np.linspace(-3, 3, 60).reshape(-1, 2).astype(dtype)
    near = 1e-14 if dtype == "float64" else 1e-6
    np.testing.assert_allclose(forward(compile_plan(network), rows), compute(network, rows), rtol=near, atol=near)


EXPRESSIONS = [
    "x * sigmoid(1.702 * x)",
    "where(x > 0, x, expm1(x))",
    "where(x != x, 1, 0)",
    "min(x, 2) ** 3 - erf(x)",
]


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_the_reference_and_the_core_agree_on_own_functions(text: str) -> None:
    network = spec.parse(document(inputs=1, layers=[{"weights": [[1]], "activation": {"expression": text}}]))
    rows = np.linspace(-3, 3, 61).reshape(-1, 1)
    np.testing.assert_allclose(forward(compile_plan(network), rows), compute(network, rows), rtol=1e-14, atol=1e-14)


def test_wide_networks_get_fewer_random_rows() -> None:
    wide = spec.parse(document(inputs=60_000, layers=[{"weights": np.ones((1, 60_000))}]))
    assert random_rows(wide, np.empty((0, 60_000))).shape == (66, 60_000)


UNSUPPORTED: dict[str, tuple[Any, type[Exception], str]] = {
    "another width": ([[1, 2, 3]], ShapeMismatchError, r"shape \[1, 3\]; must be \[rows, 2\]"),
    "words": ([["1", "2"]], InvalidTensorError, "numbers are needed"),
    "ragged": ([[1, 2], [3]], ShapeMismatchError, "the rows are no array"),
    "a missing feature": ([{"input_0": 1}], FeatureMismatchError, "have no 'input_1'"),
    "NaN": ([[1, 2], [3, float("nan")]], NonFiniteInputError, "row 1 has nan as 'input_1'"),
}


@pytest.mark.parametrize(("rows", "error", "words"), UNSUPPORTED.values(), ids=UNSUPPORTED)
def test_wrong_rows_are_rejected(rows: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        import_model(MODEL, rows=rows)


def test_wrong_names_are_rejected() -> None:
    with pytest.raises(InvalidFieldError, match="has 1 names; the model reads 2"):
        import_model(MODEL, features=["one"])
    with pytest.raises(InvalidNetworkError, match=r"spec\.outputs"):
        import_model(MODEL, outputs=["one", "two"])
    with pytest.raises(InvalidNetworkError, match=r"spec\.dtype"):
        import_model(MODEL, dtype="float16")


def test_rows_beyond_float32_are_rejected_or_left_out() -> None:
    with pytest.raises(NonFiniteInputError, match="row 0 has inf as 'input_1'; too large for float32"):
        import_model(MODEL, rows=[1, 1e300], dtype="float32")
    far = spec.parse(document(inputs=[{"name": "a", "scale": 1e308}, "b"], layers=[{"weights": [[1, 0]]}]))
    imported = certify(far, source(lambda rows: rows[:, :1] / 1e308), ROWS, None)
    assert 0 < imported.certificate.random_rows < 1_000


@pytest.mark.parametrize("tolerance", [-1.0, float("nan"), float("inf")])
def test_an_invalid_tolerance_is_rejected(tolerance: float) -> None:
    with pytest.raises(InvalidFieldError, match="must be a finite number, 0 or greater"):
        import_model(MODEL, tolerance=tolerance)


def test_a_model_that_fails_and_a_spec_that_grows_too_large_are_rejected() -> None:
    def fail(rows: Any) -> Any:
        raise ValueError(len(rows))

    with pytest.raises(UnsupportedModelError, match=r"numpy 1 cannot compute the rows: ValueError\(1006\)"):
        certify(spec.parse(document()), source(fail), ROWS, None)
    with pytest.raises(InvalidNetworkError, match="metadata"):
        import_model(MODEL, metadata={f"key {number}": "" for number in range(60)})


def test_rows_may_be_named_or_one() -> None:
    named = import_model(MODEL, rows=[{"input_1": 2, "input_0": 1}, {"input_0": 3, "input_1": 4}])
    assert named.spec.examples[0].inputs == (1.0, 2.0)
    assert import_model(MODEL, rows=[1, 2]).certificate.given_rows == 1
    assert content_digest(named.spec) == named.certificate.digest
