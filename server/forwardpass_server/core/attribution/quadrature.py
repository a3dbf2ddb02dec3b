"""Integration over an interval of a path: Gauss and Legendre's rule, and where to cut an interval that bends."""

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt
from numpy.polynomial import legendre

Wide: TypeAlias = npt.NDArray[np.float64]
"""Sums are float64 whatever the plan's dtype is."""
Indices: TypeAlias = npt.NDArray[np.intp]

POINTS: Final = 4
"""The gradients of an interval; exact for polynomials of a degree up to 7."""

FIRST_CUTS: Final = (0.0, 0.5, 1.0)
"""The ends of the first intervals. Of a whole path, gradients that differ might cancel by symmetry."""

MIN_STEPS: Final = POINTS * (len(FIRST_CUTS) - 1)
"""The gradients of a path that does not bend."""


def _rule() -> tuple[Wide, Wide, Wide]:
    """Return the places, weights and derivatives below, for the interval from 0 to 1."""
    inner, weights = legendre.leggauss(POINTS)
    places = np.array([0.0, *(inner + 1) / 2, 1.0])
    apart = places[:, np.newaxis] - places + np.eye(len(places))
    products = apart.prod(axis=1)
    derivatives = products[:, np.newaxis] / (products * apart)
    np.fill_diagonal(derivatives, 0)
    np.fill_diagonal(derivatives, -derivatives.sum(axis=1))
    return places, weights / 2, derivatives[1:-1]


PLACES, WEIGHTS, DERIVATIVES = _rule()
"""`(POINTS + 2,)`, the ends and the points between them; `(POINTS,)`, the weights of the points between; and the matrix
`(POINTS, POINTS + 2)` that differentiates, at the points between, the polynomial through values at all places (Berrut &
Trefethen, Barycentric Lagrange interpolation, 2004, equation 9.4)."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Intervals:
    """Intervals of paths.

    Attributes:
        path: `(intervals,)`: the index of the path.
        start: `(intervals,)`: where it starts, from 0 to 1.
        end: `(intervals,)`: where it ends.
    """

    path: npt.NDArray[np.intp]
    start: Wide
    end: Wide

    @classmethod
    def first(cls, paths: npt.NDArray[np.intp]) -> "Intervals":
        """Return the intervals to begin with."""
        starts, ends = FIRST_CUTS[:-1], FIRST_CUTS[1:]
        return cls(path=np.repeat(paths, len(starts)), start=np.tile(starts, len(paths)), end=np.tile(ends, len(paths)))

    def __len__(self) -> int:
        return len(self.path)

    def __getitem__(self, some: slice | npt.NDArray[np.bool_]) -> "Intervals":
        return Intervals(path=self.path[some], start=self.start[some], end=self.end[some])

    @property
    def width(self) -> Wide:
        """The width of each."""
        return self.end - self.start

    def places(self) -> Wide:
        """Return where on the path to compute, `(intervals, POINTS + 2)`."""
        places = self.start[:, np.newaxis] + self.width[:, np.newaxis] * PLACES
        places[:, -1] = self.end
        return places

    def cut(self, at: Wide) -> "Intervals":
        """Return both parts of each interval, cut at a number from 0 to 1 of its width."""
        between = self.start + at * self.width
        return Intervals(
            path=np.repeat(self.path, 2),
            start=np.column_stack([self.start, between]).ravel(),
            end=np.column_stack([between, self.end]).ravel(),
        )


def integrate(values: Wide, intervals: Intervals) -> Wide:
    """Return the integral, `(intervals, width)`, of values at all places, `(intervals, POINTS + 2, width)`."""
    total = np.zeros_like(values[:, 0])
    for point, weight in enumerate(WEIGHTS, start=1):
        total += weight * values[:, point]
    return total * intervals.width[:, np.newaxis]


def integrate_along(values: Wide, along: Wide) -> Wide:
    """Return the integral of values along others, `(intervals, width)`; both `(intervals, POINTS + 2, width)`."""
    total = np.zeros_like(values[:, 0])
    for point, (weight, row) in enumerate(zip(WEIGHTS, DERIVATIVES, strict=True), start=1):
        derivative = np.zeros_like(total)
        for place, factor in enumerate(row):
            derivative += factor * along[:, place]
        total += weight * values[:, point] * derivative
    return total


def find_bends(outputs: Wide, slopes: Wide, intervals: Intervals) -> Wide:
    """Return the error by which hidden kinks could spoil an interval whose shares seem complete, `(intervals,)`.

    The errors of two kinks can cancel in the sum of all shares, and not in each. So the slopes are compared with those
    of the polynomial through the outputs. Where the function is smooth, they differ by more than the rule errs; as in
    QUADPACK (Piessens et al., 1983), the power 1.5 of their relative difference counts.

    Args:
        outputs: `(intervals, POINTS + 2)`: the function at all places.
        slopes: `(intervals, POINTS + 2)`: its derivative at all places.
        intervals: The intervals.
    """
    difference, largest = np.zeros(len(slopes)), np.zeros(len(slopes))
    for point, row in enumerate(DERIVATIVES, start=1):
        rise = slopes[:, point] * intervals.width
        polynomial = np.zeros_like(rise)
        for place, factor in enumerate(row):
            polynomial += factor * outputs[:, place]
        np.maximum(difference, np.abs(polynomial - rise), out=difference)
        np.maximum(largest, np.abs(rise), out=largest)
    return np.where(largest > 0, difference * np.sqrt(difference / largest), difference)


def find_kinks(rise: Wide, slopes: Wide, intervals: Intervals) -> Wide:
    """Return where to cut each interval, from 0 to 1 of its width: at its kink, or in the middle.

    If the function is linear on both sides of one kink, the tangents at two places around it meet there. The places are
    the first and last point, if their tangents meet between them; else a point and the end beyond the kink.

    Args:
        rise: `(intervals,)`: the function at the end minus that at the start.
        slopes: `(intervals, POINTS + 2)`: its derivative at all places.
        intervals: The intervals.
    """
    found = np.full(len(rise), 0.5)
    for before, after, low, high in _AROUND_KINKS:
        first, last = slopes[:, before], slopes[:, after]
        meeting = (rise / intervals.width - last) / (first - last)
        found = np.where((meeting > low) & (meeting < high), meeting, found)
    return found


_MARGIN: Final = 1e-2
_AROUND_KINKS: Final = (
    (0, -2, _MARGIN, PLACES[1]),
    (1, -1, PLACES[-2], 1 - _MARGIN),
    (1, -2, PLACES[1], PLACES[-2]),
)
"""Two places, and between which places a kink is found by their tangents; the last that finds one counts."""


def find_rough(path: Indices, size: Wide, left: Wide, most: Indices) -> npt.NDArray[np.bool_]:
    """Return which intervals to cut: those with the largest errors.

    All intervals of a path stay if their errors sum to the tolerance that is left, else those that sum to half of it.

    Args:
        path: `(intervals,)`: the path of each interval.
        size: `(intervals,)`: the size of its error; one that is not a number is no reason to cut.
        left: `(paths,)`: the tolerance that is left for each path.
        most: `(paths,)`: the most intervals of each path that may be cut.
    """
    size = np.nan_to_num(size, nan=0.0, posinf=np.inf)
    is_rough = np.zeros(len(path), bool)
    for one in np.unique(path).tolist():
        places = np.flatnonzero(path == one)
        ascending = places[np.argsort(size[places], kind="stable")]
        sums = np.cumsum(size[ascending])
        stays = len(sums) if sums[-1] <= left[one] else int(np.searchsorted(sums, left[one] / 2, side="right"))
        stays = max(stays, len(sums) - max(int(most[one]), 0))
        is_rough[ascending[stays:]] = True
    return is_rough
