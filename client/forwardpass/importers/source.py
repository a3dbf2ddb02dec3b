"""What an importer reads off a framework's model, before anything is checked or compared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from forwardpass.spec import NetworkSpec
from forwardpass.tensors import Array

Sample: TypeAlias = Callable[[np.random.Generator, int], Array]
"""Makes so many random rows that a model can read, `(count, inputs)` float64."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A model as a graph of layers, and the model itself as the oracle.

    Attributes:
        framework: Its name and version, for example `scikit-learn 1.9.1`.
        model: What was read, for example `Pipeline(StandardScaler, MLPClassifier)`.
        width: The number of inputs.
        names: A name for each input, or empty where the model has none.
        mean: `(width,)` float64, subtracted from the inputs, or None.
        scale: `(width,)` float64, divides the inputs then, or None.
        layers: Each as `spec.parse` reads it.
        outputs: A name for each output, or empty where the model has none.
        classes: A label for each class, or empty when the model is no classifier.
        compute: What the framework computes of rows `(rows, width)` float64: `(rows, outputs)` float64.
        groups: The groups of inputs as `spec.parse` reads them, or empty.
        output_layers: The layers that are outputs, or empty for the last one.
        features: What a spec says of each input besides name, mean and scale, or empty.
        sample: What random rows it can read, or None where any numbers will do.
        dtype: The framework's arithmetic, the network's where none is chosen.
        non_finite: Whether the model is made for inputs with NaN.
        network: The network that the model was exported from, or None.
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
    sample: Sample | None = None
    dtype: str = "float64"
    non_finite: bool = False
    network: NetworkSpec | None = None
