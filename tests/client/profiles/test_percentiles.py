"""Percentiles against the definition, counted over all rows."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from forwardpass.profiles import Distribution, Profile, percentiles
from forwardpass.profiles.builder import PROBABILITIES
from hypothesis import given, settings
from hypothesis import strategies as st


def profile_of(rows: npt.NDArray[Any], probabilities: npt.NDArray[np.float64] = PROBABILITIES) -> Profile:
    """A profile of columns, by numpy alone."""
    columns = []
    for numbers in rows.T:
        finite = numbers[np.isfinite(numbers)]
        columns.append(np.quantile(finite, probabilities) if len(finite) else np.full(len(probabilities), np.nan))
    nothing = np.zeros(rows.shape[1])
    distribution = Distribution(
        name="inputs",
        nodes=tuple(f"x_{column}" for column in range(rows.shape[1])),
        quantiles=np.stack(columns, axis=1),
        means=nothing,
        zeros=nothing,
        non_finite=nothing,
    )
    return Profile(
        network="net",
        version=1,
        digest="",
        rows=len(rows),
        probabilities=probabilities,
        inputs=distribution,
        layers=(),
        outputs=distribution,
    )


def counted(rows: npt.NDArray[Any], values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The definition: the percentage of rows with a smaller value, plus half of those with the same one."""
    smaller = (rows[None] < values[:, None]).mean(axis=1)
    same = (rows[None] == values[:, None]).mean(axis=1)
    result: npt.NDArray[np.float64] = 100 * (smaller + same / 2)
    return result


def widest(probabilities: npt.NDArray[np.float64]) -> float:
    return float(np.diff(probabilities).max())


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.booleans())
def test_they_agree_with_the_definition(seed: int, count: int, few: bool) -> None:
    random = np.random.default_rng(seed)
    rows = random.standard_normal((count, 3))
    values = random.standard_normal((20, 3)) * 2
    if few:
        rows, values = np.round(rows), np.round(values)
    found = percentiles(profile_of(rows), profile_of(rows).inputs, values)
    expected = counted(rows, values)
    assert (np.abs(found - expected) <= 100 * (widest(PROBABILITIES) + 1.5 / count)).all()
    below, above = values < rows.min(axis=0), values > rows.max(axis=0)
    assert (found[below] == 0).all()
    assert (found[above] == 100).all()
    inside = ~(below | above)
    assert ((found[inside] > 0) & (found[inside] < 100)).all(), "only what was never seen has 0 or 100"


def test_with_many_quantiles_they_are_exact() -> None:
    rows = np.random.default_rng(0).standard_normal((501, 2))
    profile = profile_of(rows, np.linspace(0, 1, 501))
    values = rows[::7]
    np.testing.assert_allclose(percentiles(profile, profile.inputs, values), counted(rows, values), atol=0.2)


def test_they_grow_with_the_values() -> None:
    rows = np.maximum(np.random.default_rng(0).standard_normal((1_000, 1)), 0)
    values = np.sort(np.random.default_rng(1).standard_normal((500, 1)) * 2, axis=0)
    profile = profile_of(rows)
    found = percentiles(profile, profile.inputs, values)
    assert (np.diff(found, axis=0) >= 0).all()
    zero = percentiles(profile, profile.inputs, np.zeros((1, 1))).item()
    assert zero == pytest.approx(25, abs=3), "half of the rows are zero, which is the usual value"


def test_a_constant_node() -> None:
    profile = profile_of(np.full((50, 1), 7.0))
    found = percentiles(profile, profile.inputs, np.array([[7.0], [6.9], [7.1]]))
    assert found.ravel().tolist() == [50, 0, 100]


def test_one_row() -> None:
    profile = profile_of(np.array([[1.0, 2.0]]))
    assert percentiles(profile, profile.inputs, np.array([[1.0, 3.0], [0.5, 2.0]])).tolist() == [[50, 100], [0, 50]]


def test_what_is_not_finite_has_none() -> None:
    rows = np.random.default_rng(0).standard_normal((100, 2))
    rows[:, 1] = np.nan
    profile = profile_of(rows)
    found = percentiles(profile, profile.inputs, np.array([[np.nan, 0.0], [np.inf, 1.0], [-np.inf, np.nan]]))
    assert np.isnan(found).all()


def test_far_apart_numbers() -> None:
    profile = profile_of(np.array([[-1.7e308], [0.0], [1.7e308]]), np.array([0.0, 0.5, 1.0]))
    found = percentiles(profile, profile.inputs, np.array([[-0.85e308], [0.85e308], [1.75e308]]))
    np.testing.assert_allclose(found.ravel(), [25, 75, 100])


def test_float32() -> None:
    rows = np.random.default_rng(0).standard_normal((100, 1)).astype(np.float32)
    profile = profile_of(rows)
    largest = np.array([[rows.max()]], dtype=np.float32)
    assert percentiles(profile, profile.inputs, largest).item() == 99.5
