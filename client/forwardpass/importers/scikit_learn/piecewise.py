"""Functions of one number that are polynomials between breaks."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import PASS, TensorRef
from forwardpass.importers.scikit_learn.pipeline_step import PipelineStep, Transform
from forwardpass.tensors import Array

_ENDS: Final[Mapping[str, int | None]] = MappingProxyType({"constant": 0, "linear": 1, "continue": None})
"""The degree of the polynomials beyond the first and last break, None for that of the others, by `extrapolation`."""


def way_through(step: PipelineStep, name: str, value: TensorRef, breaks: Array) -> TensorRef:
    """Return how far a number has come on each piece between breaks, from 0 to its length, `(pieces,)`."""
    pieces = value.take(np.zeros(len(breaks) - 1, np.int64))
    held = step.graph.add_layer(f"{name}_held", pieces, kind="clip", low=breaks[:-1], high=breaks[1:])
    return step.graph.add_layer(f"{name}_way", held, kind="scale_shift", shift=-breaks[:-1])


def _way_beyond(step: PipelineStep, name: str, value: TensorRef, low: float, high: float) -> TensorRef:
    """Return how far a number is below the first break and above the last one, `(2,)`."""
    both, scale, shift = value.take(np.zeros(2, np.int64)), np.array([-1.0, 1.0]), np.array([low, -high])
    return step.graph.add_layer(f"{name}_beyond", both, kind="scale_shift", scale=scale, shift=shift, activation="relu")


def add_gains(step: PipelineStep, name: str, ways: TensorRef, coefficients: Sequence[Array], start: Array) -> TensorRef:
    """Add continuous functions of a number, each the sum of what it gains on the pieces that the number has passed.

    Args:
        step: The step that they are of.
        name: The preferred name of the last layer.
        ways: How far the number has come on each piece, u.
        coefficients: `(pieces, functions)` for each power of u from 1.
        start: `(functions,)`, the values where nothing is gained.
    """
    powers = [ways]
    for power in range(2, len(coefficients) + 1):
        product = {"expression": " * ".join(["x"] * power)}
        powers.append(step.graph.add_layer(f"{name}_power", ways, **PASS, activation=product))
    weights = np.concatenate(coefficients).T
    return step.graph.add_layer(name, step.graph.concatenate(powers), len(weights), weights=weights, bias=start)


def _splines(step: PipelineStep, values: TensorRef) -> TensorRef:
    """Return the basis of B-splines of each column, as `SplineTransformer` does (de Boor, A Practical Guide, 1978)."""
    step.check_fitted("bsplines_")
    model = step.model
    if model.degree < 1 or model.extrapolation not in _ENDS or getattr(model, "handle_missing", "error") != "error":
        step.reject(
            f"is read where its degree is 1 or more, its extrapolation one of {', '.join(_ENDS)}, and its "
            "handle_missing 'error'; fit it so"
        )
    step.reader.inputs.mark_shared(values)
    return step.graph.concatenate(
        [_basis(step, values.take([place]), spline) for place, spline in enumerate(model.bsplines_)]
    )


def _basis(step: PipelineStep, value: TensorRef, spline: Any) -> TensorRef:
    """Return the splines of one column, the last of which `include_bias=False` leaves out."""
    degree, kept = spline.k, spline.c.shape[1] - (not step.model.include_bias)
    breaks = np.unique(spline.t[degree : len(spline.t) - degree])
    if len(breaks) < 2:
        step.reject("has a column of a single value; leave that column out")
    low, high = breaks[0], breaks[-1]
    ways = way_through(step, step.name, value, breaks)
    found = [_taylor(spline, breaks[:-1], power)[:, :kept] for power in range(1, degree + 1)]
    beyond = _ENDS[step.model.extrapolation]
    if beyond != 0:
        ways = step.graph.concatenate([ways, _way_beyond(step, step.name, value, low, high)])
        for power in range(1, degree + 1):
            ends = _taylor(spline, np.array([low, high]), power) * [[(-1.0) ** power], [1.0]]
            if beyond is not None:  # Of repeated knots, other splines have a slope too, which scikit-learn leaves out.
                ends = ends * (_at_ends(spline.c.shape[1], max(degree, 2)) if power <= beyond else 0.0)
            found[power - 1] = np.concatenate([found[power - 1], ends[:, :kept]])
    return add_gains(step, step.name, ways, found, spline(low)[:kept])


def _at_ends(splines: int, count: int) -> Array:
    """Return whether each spline is one of the first, and one of the last, `(2, splines)`."""
    places = np.arange(splines)
    return np.stack([places < count, places >= splines - count])


def _taylor(spline: Any, places: Array, power: int) -> Array:
    """Return the coefficient of a power of the way from each place, `(places, splines)`."""
    coefficients: Array = spline(places, nu=power) / np.prod(np.arange(1.0, power + 1))
    return coefficients


SPLINES: Final[Mapping[str, Transform]] = MappingProxyType({"SplineTransformer": _splines})
"""By class name."""
