"""Attributions by computing the network with some features taken from a baseline.

`feature_ablation` is the output minus the output without one feature (Zeiler & Fergus, 2013). `shapley_values` are the
mean of that over all orders in which features can be added to the baseline (Shapley, 1953; Strumbelj & Kononenko, 2010;
with baselines, Sundararajan & Najmi, 2020): with few features exactly, from all coalitions, else over random orders.
"""

from collections.abc import Generator, Iterator
from math import factorial
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from forwardpass_server.core.arrays import Array
from forwardpass_server.core.attribution.targets import explained_outputs
from forwardpass_server.core.attribution.values import AttributionOptions, Attributions, Mask, present
from forwardpass_server.core.batch_invariant import pad
from forwardpass_server.core.forward import standardize
from forwardpass_server.core.gradient import forward_pass, walk_rows
from forwardpass_server.core.plan import Plan

MAX_EXACT_FEATURES: Final = 12
"""The most features whose Shapley values are computed from all coalitions."""

_Wide: TypeAlias = npt.NDArray[np.float64]


class _Coalitions:
    """The outputs that are explained of rows in which only a coalition of features is the row's own.

    Attributes:
        count: The number of features.
    """

    def __init__(self, plan: Plan, inputs: Array, options: AttributionOptions, step_flops: int) -> None:
        self._plan, self._inputs, self._options = plan, inputs, options
        self._feature_of = options.feature_of(plan.inputs)
        self._rows_at_once = walk_rows(plan, step_flops)
        self.count = options.feature_count(plan.inputs)

    def blocks(self, coalitions: int) -> Iterator[slice]:
        """Yield the rows to explain together, given the number of coalitions of each."""
        size = max(self._rows_at_once // coalitions, 1)
        return (slice(start, start + size) for start in range(0, len(self._inputs), size))

    def outputs(self, rows: slice, coalitions: Mask) -> Generator[None, None, _Wide]:
        """Return the outputs, `(rows, coalitions, targets)`, means over the baselines; yield after each step.

        Args:
            rows: Some of the rows.
            coalitions: `(coalitions, features)`: whether a feature is the row's own.
        """
        inputs, targets = np.asarray(self._inputs[rows], self._plan.dtype), self._options.targets[rows]
        is_own = coalitions[:, self._feature_of]
        baselines = present(self._options.baselines)
        found = np.zeros((len(inputs) * len(coalitions), targets.shape[1]))
        for baseline in baselines:
            for start in range(0, len(found), self._rows_at_once):
                row, coalition = np.divmod(
                    np.arange(start, min(start + self._rows_at_once, len(found))), len(coalitions)
                )
                mixed = np.where(is_own[coalition], inputs[row], baseline)
                outputs = self._compute(mixed)
                found[start : start + len(row)] += np.take_along_axis(outputs, targets[row], axis=1) / len(baselines)
                yield
        return found.reshape(len(inputs), len(coalitions), -1)

    @np.errstate(all="ignore")
    def _compute(self, rows: Array) -> Array:
        plan = self._plan
        passed = forward_pass(plan, pad(standardize(plan, rows), plan.row_multiple))
        return explained_outputs(plan, passed, logits=self._options.logits)[: len(rows)]


def feature_ablation_steps(
    plan: Plan, inputs: Array, options: AttributionOptions, result: Attributions, step_flops: int
) -> Iterator[None]:
    """Compute the shares of the features of some rows, `(rows, inputs)`; yield after each step."""
    coalitions = _Coalitions(plan, inputs, options, step_flops)
    none, every = np.zeros((1, coalitions.count), bool), np.ones((1, coalitions.count), bool)
    all_but_one = ~np.eye(coalitions.count, dtype=bool)
    for rows in coalitions.blocks(coalitions.count + 2):
        outputs = yield from coalitions.outputs(rows, np.concatenate([none, every, all_but_one]))
        _write_ends(result, rows, outputs[:, 0], outputs[:, 1])
        result.values[rows] = (outputs[:, 1:2] - outputs[:, 2:]).swapaxes(1, 2)


def shapley_values_steps(
    plan: Plan, inputs: Array, options: AttributionOptions, result: Attributions, step_flops: int
) -> Iterator[None]:
    """Compute the Shapley values of the features of some rows, `(rows, inputs)`; yield after each step."""
    coalitions = _Coalitions(plan, inputs, options, step_flops)
    if coalitions.count <= MAX_EXACT_FEATURES:
        return _exact(coalitions, result)
    return _sampled(coalitions, options, result)


def _exact(coalitions: _Coalitions, result: Attributions) -> Iterator[None]:
    count = coalitions.count
    numbers = np.arange(2**count)
    members = (numbers[:, np.newaxis] >> np.arange(count) & 1).astype(bool)
    size = members.sum(axis=1)
    orders = np.array([factorial(k) * factorial(count - 1 - k) / factorial(count) for k in range(count)])
    for rows in coalitions.blocks(len(members)):
        outputs = yield from coalitions.outputs(rows, members)
        for feature in range(count):
            without = np.flatnonzero(~members[:, feature])
            weights = orders[size[without]]
            gains = outputs[:, without + 2**feature] - outputs[:, without]
            result.values[rows, :, feature] = _weighted_sum(weights, gains)
        _write_ends(result, rows, outputs[:, 0], outputs[:, -1])
        _write_error(result, rows)


def _weighted_sum(weights: _Wide, gains: _Wide) -> _Wide:
    """Return the sum over the second axis, `(rows, targets)`, in an order that does not depend on the rows."""
    products: _Wide = np.ascontiguousarray((gains * weights[:, np.newaxis]).swapaxes(1, 2))
    result: _Wide = products.sum(axis=2)
    return result


def _sampled(coalitions: _Coalitions, options: AttributionOptions, result: Attributions) -> Iterator[None]:
    """Average over random permutations and their reverses, which err in opposite directions (Mitchell et al., 2022).

    The permutations are the same for all rows. The standard error is that of the means of the pairs.
    """
    count, samples = coalitions.count, options.samples
    for rows in coalitions.blocks(2 * count):
        random = np.random.default_rng(options.seed)
        shape = result.values[rows].shape
        mean, squares = np.zeros(shape), np.zeros(shape)
        for sample in range(1, samples + 1):
            order = random.permutation(count)
            gains = np.zeros(shape)
            for one in (order, order[::-1]):
                rank = np.argsort(one)
                members = rank < np.arange(count + 1)[:, np.newaxis]
                outputs = yield from coalitions.outputs(rows, members)
                gains[:, :, one] += np.diff(outputs, axis=1).swapaxes(1, 2) / 2
            # Welford's recurrence (1962).
            change = gains - mean
            mean += change / sample
            squares += change * (gains - mean)
        result.values[rows] = mean
        present(result.standard_error)[rows] = np.sqrt(squares / (samples * (samples - 1)))
        _write_ends(result, rows, outputs[:, 0], outputs[:, -1])
        _write_error(result, rows)


def _write_ends(result: Attributions, rows: slice, at_baselines: _Wide, at_rows: _Wide) -> None:
    present(result.baseline_outputs)[rows], result.outputs[rows] = at_baselines, at_rows


def _write_error(result: Attributions, rows: slice) -> None:
    explained = result.outputs[rows].astype(np.float64) - present(result.baseline_outputs)[rows]
    present(result.completeness_error)[rows] = explained - result.values[rows].astype(np.float64).sum(axis=2)
