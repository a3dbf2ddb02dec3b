"""Attributions along the straight path from a baseline to a row.

`integrated_gradients` (Sundararajan, Taly & Yan, 2017): the share of input i is

    (x_i - b_i) * integral over t from 0 to 1 of dF/dx_i at b + t * (x - b)

`layer_conductance` (Dhamdhere, Sundararajan & Yan, 2018): the share of a node with activation y is

    integral over t from 0 to 1 of dF/dy * dy/dt

The shares of all inputs sum to F(x) - F(b), and so do those of all nodes of a layer through which everything passes.

The path is cut into intervals, and each is integrated by a rule with `POINTS` gradients (`quadrature.py`). An interval
is done where its shares sum to the difference of F between its ends, which is known. Otherwise it is cut in two: where
the tangents at its first and last point meet, which is the kink if there is one in a piecewise linear function, else in
the middle. So a row needs many gradients only where its path bends, and none of this depends on other rows.
"""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from forwardpass_server.core.arrays import Array
from forwardpass_server.core.attribution.encodings import find_encodings
from forwardpass_server.core.attribution.quadrature import (
    PLACES,
    POINTS,
    Intervals,
    Wide,
    find_bends,
    find_kinks,
    find_rough,
    integrate,
    integrate_along,
)
from forwardpass_server.core.attribution.targets import explained_outputs, gradients_of_targets, nodes_of_targets
from forwardpass_server.core.attribution.values import (
    AttributionOptions,
    Attributions,
    Indices,
    present,
)
from forwardpass_server.core.batch_invariant import pad
from forwardpass_server.core.forward import standardize
from forwardpass_server.core.gradient import ForwardPass, forward_pass, gradient_row_multiple, walk_rows
from forwardpass_server.core.graph import INPUTS
from forwardpass_server.core.operations import Places
from forwardpass_server.core.plan import Plan

SHARE_OF_REACH: Final = 0.01
"""Where an output changes on the path and comes back, the tolerance is relative to this share of its largest change."""

ROUNDINGS: Final = 16
"""The completeness error that counts as rounding, in units of the last place of the outputs."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Paths:
    """Straight paths, each from a baseline to a row, for one target.

    Attributes:
        starts: By `INPUTS` and each encoding, the values at the beginning, `(paths, width)`.
        changes: The values at the end minus those at the beginning.
        targets: `(paths,)`.
        outputs: `(paths, 2)`: what is explained, at the beginning and at the end.
        difference: `(paths,)`: the size of the difference between both.
    """

    starts: Mapping[str, Array]
    changes: Mapping[str, Array]
    targets: Indices
    outputs: Wide
    difference: Wide


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Integrals:
    """Integrals over intervals.

    Attributes:
        shares: By `INPUTS` and each layer whose nodes get shares, `(intervals, width)`.
        error: `(intervals,)`: how far the inputs' shares are from complete, or may be from right.
        reach: `(intervals,)`: the largest difference of the output from that at the beginning of the path.
        kinks: `(intervals,)`: where to cut each interval, from 0 to 1 of its length.
    """

    shares: Mapping[str, Wide]
    error: Wide
    reach: Wide
    kinks: Wide


class _Walk:
    """A plan, what of it is explained, and how many rows go through it at once."""

    def __init__(self, plan: Plan, options: AttributionOptions, layers: tuple[str, ...], step_flops: int) -> None:
        self.plan, self.options, self.layers = plan, options, layers
        encodings = find_encodings(plan, logits=options.logits)
        self.encodings = {name: Places(columns) for name, columns in encodings.items()}
        self.multiple = gradient_row_multiple(plan)
        self.intervals_at_once = max(walk_rows(plan, step_flops) // len(PLACES), 1)
        self.rounding = ROUNDINGS * float(np.finfo(plan.dtype).eps)
        self.narrowest = float(np.finfo(plan.dtype).eps) ** 0.75
        self.baselines = present(options.baselines)
        self.widths = {
            INPUTS: plan.inputs,
            **{layer.name: layer.outputs for layer in plan.layers if layer.name in layers},
        }

    def forward(self, values: Mapping[str, Array]) -> ForwardPass:
        """Compute rows from their standardized inputs and their encodings."""
        padded = {name: pad(array, self.multiple) for name, array in values.items()}
        return forward_pass(self.plan, padded.pop(INPUTS), padded)

    def explained(self, passed: ForwardPass, targets: Indices) -> Wide:
        """Return what is explained, `(rows,)`, without the padding."""
        outputs = explained_outputs(self.plan, passed, logits=self.options.logits)
        return outputs[np.arange(len(targets)), targets].astype(np.float64)

    @np.errstate(all="ignore")
    def paths(self, rows: Array, baselines: Array, targets: Indices) -> _Paths:
        """Return the paths from baselines to rows, `(paths, inputs)` both, for targets, `(paths,)`."""
        ends, outputs = [], []
        for inputs in (baselines, rows):
            passed = self.forward({INPUTS: standardize(self.plan, inputs)})
            ends.append({name: passed.activations[name][: len(rows)] for name in (INPUTS, *self.encodings)})
            outputs.append(self.explained(passed, targets))
        starts, stops = ends
        changes = {name: stops[name] - starts[name] for name in starts}
        for change in changes.values():
            change[np.isnan(change)] = 0  # a missing input, which only an encoding reads
        return _Paths(
            starts=starts,
            changes=changes,
            targets=targets,
            outputs=np.column_stack(outputs),
            difference=np.abs(outputs[1] - outputs[0]),
        )

    @np.errstate(all="ignore")
    def integrals(self, paths: _Paths, intervals: Intervals) -> _Integrals:
        """Integrate over intervals, all in one walk."""
        count, points = len(intervals), len(PLACES)
        places = intervals.places()[:, :, np.newaxis]
        values = {
            name: (start[intervals.path, np.newaxis] + places * paths.changes[name][intervals.path, np.newaxis])
            .astype(self.plan.dtype)
            .reshape(count * points, -1)
            for name, start in paths.starts.items()
        }
        passed = self.forward(values)
        targets = np.repeat(paths.targets[intervals.path], points)
        outputs = self.explained(passed, targets).reshape(count, points)
        gradients = gradients_of_targets(self.plan, passed, targets, logits=self.options.logits, keep=self.layers)

        def by_interval(array: Array) -> Wide:
            return array[: count * points].reshape(count, points, -1).astype(np.float64)

        rise = outputs[:, -1] - outputs[:, 0]
        shares = {INPUTS: np.zeros((count, self.plan.inputs))}
        slopes = np.zeros((count, points))
        for name, changes in paths.changes.items():
            if name in gradients:
                change = changes[intervals.path, np.newaxis]
                products = np.where(change == 0, 0, by_interval(gradients[name]) * change)
                share = integrate(products, intervals)
                shares[INPUTS] += self.encodings[name].add_up(share, self.plan.inputs) if name != INPUTS else share
                slopes += products.sum(axis=2)
        for name in self.layers:
            shares[name] = np.zeros((count, self.widths[name]))
            if name in gradients:
                shares[name] += integrate_along(by_interval(gradients[name]), by_interval(passed.activations[name]))
        if self.options.logits:  # the target is a node too, whose own share is all of it
            for name, nodes, some in nodes_of_targets(self.plan, paths.targets[intervals.path]):
                if name in self.layers:
                    shares[name][some, nodes] += rise[some]
        return _Integrals(
            shares=shares,
            error=np.maximum(np.abs(rise - shares[INPUTS].sum(axis=1)), find_bends(outputs, slopes, intervals)),
            reach=np.abs(outputs - paths.outputs[intervals.path, :1]).max(axis=1),
            kinks=find_kinks(rise, slopes, intervals),
        )


def _integrate(walk: _Walk, paths: _Paths) -> Generator[None, None, tuple[Mapping[str, Wide], Indices, Wide]]:
    """Integrate over whole paths; yield after each step.

    Returns:
        The shares, how many gradients they took, `(paths,)`, and which completeness error is tolerated, `(paths,)`.
    """
    count = len(paths.targets)
    totals = {name: np.zeros((count, width)) for name, width in walk.widths.items()}
    steps = np.zeros(count, np.intp)
    is_finite = np.isfinite(paths.outputs).all(axis=1)
    for total in totals.values():
        total[~is_finite] = np.nan
    reach, spent, tolerated = np.zeros((3, count))
    pending = Intervals.first(np.flatnonzero(is_finite))
    while len(pending):
        found = []
        for some in _slices(len(pending), walk.intervals_at_once):
            found.append(walk.integrals(paths, pending[some]))
            yield
        steps += POINTS * np.bincount(pending.path, minlength=count)
        np.fmax.at(reach, pending.path, np.concatenate([integrals.reach for integrals in found]))
        rounding = walk.rounding * np.fmax(reach, np.abs(paths.outputs).max(axis=1))
        tolerated = walk.options.tolerance * np.fmax(paths.difference, SHARE_OF_REACH * reach) + rounding
        error = np.concatenate([integrals.error for integrals in found])
        error[(pending.width <= walk.narrowest) | (error <= rounding[pending.path])] = 0
        most = (walk.options.max_steps - steps) // (2 * POINTS)
        is_rough = find_rough(pending.path, error, tolerated - spent, most)
        np.add.at(spent, pending.path[~is_rough], error[~is_rough])
        for name, total in totals.items():
            shares = np.concatenate([integrals.shares[name] for integrals in found])
            np.add.at(total, pending.path[~is_rough], shares[~is_rough])
        kinks = np.concatenate([integrals.kinks for integrals in found])
        pending = pending[is_rough].cut(kinks[is_rough])
    return totals, steps, tolerated


def path_steps(
    plan: Plan, inputs: Array, options: AttributionOptions, result: Attributions, step_flops: int
) -> Iterator[None]:
    """Integrate the gradients of some rows, `(rows, inputs)`; yield after each step.

    Each pair of a row and a target has a path from every baseline; their shares are averaged.
    """
    walk = _Walk(plan, options, tuple(layer.name for layer in result.layers), step_flops)
    baselines = walk.baselines
    features = Places(options.feature_of(plan.inputs))
    all_rows, all_targets = np.divmod(np.arange(options.targets.size), options.targets.shape[1])
    for pairs in _slices(options.targets.size, max(walk.intervals_at_once // len(baselines), 1)):
        row, place = all_rows[pairs], all_targets[pairs]
        count, targets = len(row), options.targets[row, place]
        totals = {name: np.zeros((count, width)) for name, width in walk.widths.items()}
        baseline_outputs, tolerated, steps = np.zeros(count), np.zeros(count), np.zeros(count, np.intp)
        for some in _slices(len(baselines), walk.intervals_at_once):
            several = len(baselines[some])
            paths = walk.paths(
                np.repeat(inputs[row], several, axis=0),
                np.tile(baselines[some], (count, 1)),
                np.repeat(targets, several),
            )
            shares, taken, allowed = yield from _integrate(walk, paths)
            for index in range(several):  # in order, so that the sum has the same bits however baselines are sliced
                each = slice(index, None, several)
                for name, share in shares.items():
                    totals[name] += share[each] / len(baselines)
                baseline_outputs += paths.outputs[each, 0] / len(baselines)
                tolerated += allowed[each] / len(baselines)
                steps += taken[each]
        values = features.add_up(totals[INPUTS], result.values.shape[2]).astype(plan.dtype)
        result.values[row, place] = values
        result.outputs[row, place] = paths.outputs[each, 1]
        present(result.baseline_outputs)[row, place] = baseline_outputs
        error = paths.outputs[each, 1] - baseline_outputs - values.astype(np.float64).sum(axis=1)
        present(result.completeness_error)[row, place] = error
        present(result.steps)[row, place] = steps
        present(result.is_converged)[row, place] = np.abs(error) <= tolerated
        for layer in result.layers:
            layer.values[row, place] = totals[layer.name]


def _slices(count: int, size: int) -> Iterator[slice]:
    """Yield the slices of a size that cover a count."""
    return (slice(start, start + size) for start in range(0, count, size))
