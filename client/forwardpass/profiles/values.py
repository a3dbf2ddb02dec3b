"""Profiles and what is said of unusual values: frozen, with read-only arrays."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from forwardpass._values import Value
from forwardpass.tensors import Array


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Distribution(Value):
    """Distributions of the nodes of a layer, or of the inputs or outputs, over the rows of a profile.

    Quantiles and means are those of the finite numbers, and NaN where there are none.

    Attributes:
        name: The layer's name, `inputs` or `outputs`.
        nodes: A name for each node.
        quantiles: `(probabilities, nodes)` in the network's dtype, for the probabilities of the profile.
        means: `(nodes,)`.
        zeros: `(nodes,)`: the share of rows with a zero.
        non_finite: `(nodes,)`: the share of rows with NaN or infinity.
    """

    name: str
    nodes: tuple[str, ...]
    quantiles: Array
    means: Array
    zeros: Array
    non_finite: Array

    @property
    def minima(self) -> Array:
        """`(nodes,)`: the smallest numbers."""
        minima: Array = self.quantiles[0]
        return minima

    @property
    def maxima(self) -> Array:
        """`(nodes,)`: the largest numbers."""
        maxima: Array = self.quantiles[-1]
        return maxima


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Profile(Value):
    """Usual distribution of every value of a version, over some rows.

    Attributes:
        network: The network's name.
        version: The number of the version.
        digest: That version's SHA-256.
        rows: The number of rows.
        probabilities: `(probabilities,)`: those of the quantiles, from 0, the minimum, to 1, the maximum.
        inputs: The network's inputs after standardization.
        layers: The activations of the layers that were profiled, in the network's order.
        outputs: The network's outputs.
        rank_error: The largest possible error of a quantile's rank as a share of the rows; 0 where all rows were
            sorted.
        set_time: When the server got the profile, in UTC; None before.
    """

    network: str
    version: int
    digest: str
    rows: int
    probabilities: Array
    inputs: Distribution
    layers: tuple[Distribution, ...]
    outputs: Distribution
    rank_error: float = 0.0
    set_time: datetime | None = None

    @property
    def distributions(self) -> tuple[Distribution, ...]:
        """The inputs, the layers and the outputs."""
        return (self.inputs, *self.layers, self.outputs)

    def as_dict(self) -> dict[str, Any]:
        """Return the profile as JSON has it: lists for arrays, and None where there is no number."""
        return {
            "network": self.network,
            "version": self.version,
            "digest": self.digest,
            "set_time": None if self.set_time is None else self.set_time.isoformat(),
            "rows": self.rows,
            "rank_error": self.rank_error,
            "probabilities": self.probabilities.tolist(),
            "inputs": _as_dict(self.inputs),
            "layers": [*map(_as_dict, self.layers)],
            "outputs": _as_dict(self.outputs),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileSummary:
    """Which profile a version has.

    Attributes:
        rows: The number of rows that it was made of.
        set_time: When the server got it, in UTC.
    """

    rows: int
    set_time: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class UnusualValue:
    """A value of a trace that is far from those of the profile.

    Attributes:
        layer: The layer's name, `inputs` or `outputs`.
        node: The node's name.
        value: The value.
        percentile: The percentage of the profile's rows with a smaller value, plus half of those with the same one; 0
            and 100 are outside of all that was seen.
    """

    layer: str
    node: str
    value: float
    percentile: float

    @property
    def is_outside(self) -> bool:
        """Whether the value is below or above all that was seen."""
        return self.percentile in {0.0, 100.0}


def _as_dict(distribution: Distribution) -> dict[str, Any]:
    return {
        "name": distribution.name,
        "nodes": [*distribution.nodes],
        "quantiles": _numbers(distribution.quantiles),
        "means": _numbers(distribution.means),
        "zeros": distribution.zeros.tolist(),
        "non_finite": distribution.non_finite.tolist(),
    }


def _numbers(array: npt.NDArray[np.floating[Any]]) -> Any:
    numbers = array.astype(object)
    numbers[np.isnan(array)] = None
    return numbers.tolist()
