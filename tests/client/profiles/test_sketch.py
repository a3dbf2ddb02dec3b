"""The sketch has numpy's quantiles while it holds all rows, and keeps its promise about ranks when it does not."""

import numpy as np
import numpy.typing as npt
import pytest
from forwardpass.profiles.builder import PROBABILITIES
from forwardpass.profiles.sketch import QuantileSketch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

COLUMNS = 3
NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, np.nan, np.inf, -np.inf, 1e308, -1e308, 5e-324]),
    st.floats(allow_nan=True, allow_infinity=True),
    st.integers(-3, 3).map(float),
)


def sketch_of(rows: npt.NDArray[np.float64], capacity: int, parts: int = 3) -> QuantileSketch:
    sketch = QuantileSketch(rows.shape[1], capacity)
    for part in np.array_split(rows, parts):
        sketch.add(part)
    return sketch


@settings(max_examples=50)
@given(
    st_numpy.arrays(np.float64, st.tuples(st.integers(1, 40), st.just(COLUMNS)), elements=NUMBERS),
    st.integers(1, 5),
)
def test_without_halving_the_quantiles_are_numpys(rows: npt.NDArray[np.float64], parts: int) -> None:
    found = sketch_of(rows, 64, parts).quantiles(PROBABILITIES)
    for column, numbers in enumerate(rows.T):
        finite = numbers[np.isfinite(numbers)]
        if not len(finite):
            assert np.isnan(found[:, column]).all()
            continue
        with np.errstate(all="ignore"):
            expected = np.quantile(finite, PROBABILITIES)
        usable = np.isfinite(
            expected
        )  # numpy's overflow where two neighbours are further apart than the largest number
        np.testing.assert_array_equal(found[usable, column], expected[usable])
        assert (np.diff(found[:, column]) >= 0).all()
        assert (found[0, column], found[-1, column]) == (finite.min(), finite.max())


@settings(max_examples=25)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 32),
    st.integers(1, 2_000),
    st.sampled_from(["normal", "few", "sorted", "reversed", "holes"]),
)
def test_ranks_are_as_exact_as_promised(seed: int, capacity: int, count: int, shape: str) -> None:
    random = np.random.default_rng(seed)
    rows = random.standard_normal((count, COLUMNS))
    if shape == "few":
        rows = np.round(rows)
    elif shape == "sorted":
        rows.sort(axis=0)
    elif shape == "reversed":
        rows = -np.sort(rows, axis=0)
    elif shape == "holes":
        rows[random.random(rows.shape) < 0.2] = np.nan
    sketch = sketch_of(rows, capacity, parts=1 + count // 100)
    assert sketch.rows == count
    found = sketch.quantiles(PROBABILITIES)
    # What halving moved, in rows, and half of what one number may stand for, since ranks are between them.
    allowed = sketch.max_rank_error * count + max(2 * count / capacity, 1)
    for column, numbers in enumerate(rows.T):
        finite = np.sort(numbers[np.isfinite(numbers)])
        if not len(finite):
            continue
        low = np.searchsorted(finite, found[:, column], side="left")
        high = np.searchsorted(finite, found[:, column], side="right")
        ranks = PROBABILITIES * (len(finite) - 1)
        assert (low - allowed <= ranks).all()
        assert (ranks <= high + allowed).all()
        assert (found[0, column], found[-1, column]) == (finite[0], finite[-1])


def test_memory_does_not_grow_with_rows() -> None:
    sketch = QuantileSketch(2, 64)
    for seed in range(400):
        sketch.add(np.random.default_rng(seed).standard_normal((100, 2)))
    assert sketch.rows == 40_000
    assert sum(level.rows for level in sketch._levels) <= 64 * len(sketch._levels) <= 64 * 11
    assert 0 < sketch.max_rank_error < 0.2


def test_the_same_rows_have_the_same_quantiles() -> None:
    rows = np.random.default_rng(1).standard_normal((5_000, 2))
    first, second = (sketch_of(rows, 100).quantiles(PROBABILITIES) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_a_capacity_too_small_is_told() -> None:
    with pytest.raises(ValueError, match="at least 2"):
        QuantileSketch(1, 1)


@pytest.mark.prove
def test_a_million_rows() -> None:
    random = np.random.default_rng(0)
    rows = random.lognormal(size=(1_000_000, 4))
    for capacity in (256, 4_096, 65_536):
        sketch = sketch_of(rows, capacity, parts=1_000)
        found = sketch.quantiles(PROBABILITIES)
        worst = 0.0
        for column, numbers in enumerate(rows.T):
            ranks = np.searchsorted(np.sort(numbers), found[:, column]) / len(rows)
            worst = max(worst, float(np.abs(ranks - PROBABILITIES).max()))
        print(f"{capacity} rows a level: ranks wrong by {worst:.2e} at most, {sketch.max_rank_error:.2e} promised")
        assert worst <= sketch.max_rank_error + 2 / capacity
