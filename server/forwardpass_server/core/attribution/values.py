"""The options of attributions, and the arrays of their results."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from forwardpass_server.core.arrays import Array
from forwardpass_server.core.plan import Plan

Indices: TypeAlias = npt.NDArray[np.intp]
Mask: TypeAlias = npt.NDArray[np.bool_]
_Number = TypeVar("_Number", bound=np.generic)

DEFAULT_TOLERANCE: Final = 1e-3
DEFAULT_MAX_STEPS: Final = 1024
DEFAULT_SAMPLES: Final = 128


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AttributionOptions:
    """What is explained, and how.

    Attributes:
        method: A name in `METHODS`.
        targets: `(rows, targets)`: the indices of the outputs that are explained, of each row.
        logits: Whether the pre-activation of an output is explained in place of the output; see `has_logits`.
        baselines: `(baselines, inputs)` in the plan's dtype, before standardization; the shares for several are
            averaged. None for a method without baselines.
        features: The columns of each feature, which get one share together; each column is in exactly one. None where
            each column is a feature.
        layers: The layers whose nodes get shares of `layer_conductance`; empty for all layers.
        tolerance: The largest completeness error of the methods along a path, relative to the difference of output and
            baseline output, or to a hundredth of the largest difference on the path.
        max_steps: The most gradients of one row, target and baseline that a method along a path computes.
        samples: Pairs of permutations of the sampled Shapley values.
        seed: Seed of these permutations.
    """

    method: str
    targets: Indices
    logits: bool = False
    baselines: Array | None = None
    features: tuple[Indices, ...] | None = None
    layers: tuple[str, ...] = ()
    tolerance: float = DEFAULT_TOLERANCE
    max_steps: int = DEFAULT_MAX_STEPS
    samples: int = DEFAULT_SAMPLES
    seed: int = 0

    @property
    def baseline_count(self) -> int:
        """The number of baselines, 1 for a method without any."""
        return 1 if self.baselines is None else len(self.baselines)

    def feature_of(self, inputs: int) -> Indices:
        """Return the feature of each column, `(inputs,)`."""
        if self.features is None:
            return np.arange(inputs)
        found = np.empty(inputs, np.intp)
        for feature, columns in enumerate(self.features):
            found[columns] = feature
        return found

    def feature_count(self, inputs: int) -> int:
        """Return the number of features."""
        return inputs if self.features is None else len(self.features)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LayerAttributions:
    """The shares of one layer's nodes.

    Attributes:
        name: The name of the layer.
        values: `(rows, targets, nodes)` in the plan's dtype.
    """

    name: str
    values: Array


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Attributions:
    """The shares of every feature in the outputs that are explained. All numbers are in the outputs' units, or logits.

    Attributes:
        values: `(rows, targets, features)` in the plan's dtype. Beside the shares of nodes, the inputs' own.
        outputs: `(rows, targets)`: what is explained.
        baseline_outputs: `(rows, targets)`: the mean of it over the baselines; None for a method without baselines.
        completeness_error: `(rows, targets)`: outputs - baseline outputs - the sum of all shares; None for a method
            whose shares need not sum to that.
        steps: `(rows, targets)`: how many gradients were computed for all baselines together; None for a method that
            does not choose it.
        is_converged: `(rows, targets)`: whether the completeness error is within the tolerance; None where steps is.
        standard_error: `(rows, targets, features)`: of sampled shares; None for others.
        layers: The shares of nodes of `layer_conductance`, in the network's order.
    """

    values: Array
    outputs: Array
    baseline_outputs: Array | None = None
    completeness_error: Array | None = None
    steps: Indices | None = None
    is_converged: Mask | None = None
    standard_error: Array | None = None
    layers: tuple[LayerAttributions, ...] = ()


def present(array: npt.NDArray[_Number] | None) -> npt.NDArray[_Number]:
    """Return an array of `Attributions` that the method has."""
    if array is None:
        raise TypeError("the attributions were made for another method")
    return array


BASELINES: Final[Mapping[str, Callable[[Plan], Array]]] = MappingProxyType(
    {
        "zeros": lambda plan: np.zeros((1, plan.inputs), plan.dtype),
        "means": lambda plan: np.zeros((1, plan.inputs), plan.dtype) + (0 if plan.mean is None else plan.mean),
    }
)
"""The baselines with a name: zeros, and the means by which the plan standardizes its inputs, zeros without these."""


def baseline_rows(plan: Plan, name: str) -> Array:
    """Return the baseline with a name in `BASELINES`, `(1, inputs)`, before standardization."""
    return BASELINES[name](plan)
