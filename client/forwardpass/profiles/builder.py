"""Makes a profile of traces."""

from typing import Final

import numpy as np

from forwardpass.predictions import TraceValues
from forwardpass.profiles.sketch import QuantileSketch
from forwardpass.profiles.values import Distribution, Profile
from forwardpass.tensors import Array

PROBABILITIES: Final = np.array(
    [0, 0.001, 0.005, 0.01, 0.025, *(step / 20 for step in range(1, 20)), 0.975, 0.99, 0.995, 0.999, 1]
)
"""Those of the quantiles of a profile: every twentieth, and finer ones at both ends, where values are unusual."""

_LEVEL_BYTES: Final = 32 * 2**20
"""The memory of rows that are gathered before they are halved; a sketch has some of these."""

_CAPACITY: Final = (256, 65_536)
"""The fewest and the most rows that are gathered."""


class ProfileBuilder:
    """Profile in the making: traces of one version are added, part by part.

    Example:
        >>> builder = ProfileBuilder()
        >>> builder.add(trace)  # doctest: +SKIP
        >>> builder.finish()  # doctest: +SKIP
    """

    def __init__(self) -> None:
        self._first: TraceValues | None = None
        self._sketch = QuantileSketch(0, 2)
        self._means = self._zeros = self._non_finite = np.empty(0)

    @property
    def rows(self) -> int:
        """The number of rows that were added."""
        return self._sketch.rows

    def add(self, trace: TraceValues) -> None:
        """Add the rows of a trace.

        Raises:
            ValueError: The trace is that of another version, or shows other layers.
        """
        values = np.concatenate([array.astype(np.float64, copy=False) for array in _arrays(trace)], axis=1)
        if self._first is None:
            self._first = trace
            columns = values.shape[1]
            fewest, most = _CAPACITY
            self._sketch = QuantileSketch(columns, min(max(_LEVEL_BYTES // (8 * columns), fewest), most))
            self._means, self._zeros, self._non_finite = np.zeros((3, columns))
        elif _shape(trace) != _shape(self._first):
            raise ValueError("the traces of a profile must be of one version, and show the same layers")
        finite = np.isfinite(values)
        before, now = self.rows - self._non_finite, finite.sum(axis=0)
        share = now / np.maximum(before + now, 1)
        # Each number is divided before it is added, so that no sum overflows.
        mean = np.where(finite, values, 0.0) / np.maximum(now, 1)
        self._means = self._means * (1 - share) + mean.sum(axis=0) * share
        self._zeros = self._zeros + (values == 0).sum(axis=0)
        self._non_finite = self._non_finite + (~finite).sum(axis=0)
        self._sketch.add(values)

    def finish(self) -> Profile:
        """Return the profile of all rows that were added.

        Raises:
            ValueError: There are no rows.
        """
        trace, rows = self._first, self.rows
        if trace is None or not rows:
            raise ValueError("a profile needs at least one row")
        quantiles = self._sketch.quantiles(PROBABILITIES)
        means = np.where(self._non_finite < rows, self._means, np.nan)
        start = 0

        def distribution(name: str, nodes: tuple[str, ...], array: Array) -> Distribution:
            nonlocal start
            columns = slice(start, start + array.shape[1])
            start = columns.stop
            return Distribution(
                name=name,
                nodes=nodes,
                quantiles=_read_only(quantiles[:, columns].astype(array.dtype)),
                means=_read_only(means[columns]),
                zeros=_read_only(self._zeros[columns] / rows),
                non_finite=_read_only(self._non_finite[columns] / rows),
            )

        return Profile(
            network=trace.network,
            version=trace.version,
            digest=trace.digest,
            rows=rows,
            probabilities=_read_only(PROBABILITIES),
            inputs=distribution("inputs", trace.input_names, trace.inputs),
            layers=tuple([distribution(layer.name, layer.nodes, layer.activation) for layer in trace.layers]),
            outputs=distribution("outputs", trace.output_names, trace.outputs),
            rank_error=self._sketch.max_rank_error,
        )


def _arrays(trace: TraceValues) -> list[Array]:
    return [trace.inputs, *(layer.activation for layer in trace.layers), trace.outputs]


def _shape(trace: TraceValues) -> tuple[object, ...]:
    return (trace.digest, tuple((layer.name, len(layer.nodes)) for layer in trace.layers))


def _read_only(array: Array) -> Array:
    array = array.copy()
    array.setflags(write=False)
    return array
