"""A framework's model as its front end read it, before it is checked and compared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from forwardpass.spec import NetworkSpec
from forwardpass.tensors import Array

RowSampler: TypeAlias = Callable[[np.random.Generator, int], Array]
"""Makes a number of random rows that a model can read, `(count, inputs)` float64."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A model as layers of a network, and the framework's own computation to compare with.

    Attributes:
        framework: The name and version of the framework, for example `scikit-learn 1.9.1`.
        model: The parts of the model, for example `Pipeline(StandardScaler, MLPClassifier)`.
        width: The number of inputs.
        names: A name for each input, or empty where the model has none.
        mean: `(width,)` float64, subtracted from the inputs, or None.
        scale: `(width,)` float64, divides the inputs then, or None.
        layers: The layers in the form that `spec.parse` reads.
        outputs: A name for each output, or empty where the model has none.
        classes: A label for each class, or empty when the model is no classifier.
        compute: Computes rows `(rows, width)` float64 by the framework; returns `(rows, outputs)` float64.
        groups: The groups of inputs in the form that `spec.parse` reads, or empty.
        output_layers: The output layers, or empty for the last layer.
        features: The fields of each input in a spec but for name, mean and scale, or empty.
        sampler: Makes random rows that the model can read, or None where the model takes any numbers.
        dtype: The dtype of the framework, and of the network unless the caller chooses another.
        non_finite: Whether the model takes inputs with NaN.
        network: The network that the model was exported from, or None.
        notes: A sentence for each thing of the model that was left out or renamed.
    """

    framework: str
    model: str
    width: int
    names: tuple[str, ...]
    mean: Array | None
    scale: Array | None
    layers: tuple[Mapping[str, Any], ...]
    outputs: tuple[str, ...]
    classes: tuple[str, ...]
    compute: Callable[[Array], Array]
    groups: tuple[Mapping[str, Any], ...] = ()
    output_layers: tuple[str, ...] = ()
    features: tuple[Mapping[str, Any], ...] = ()
    sampler: RowSampler | None = None
    dtype: str = "float64"
    non_finite: bool = False
    network: NetworkSpec | None = None
    notes: tuple[str, ...] = ()
