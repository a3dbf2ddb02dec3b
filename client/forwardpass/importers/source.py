"""What an importer reads off a framework's model, before anything is checked or compared."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from forwardpass.tensors import Array


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A model as a chain of dense layers, and the model itself as the oracle.

    Attributes:
        framework: Its name and version, for example `scikit-learn 1.9.1`.
        model: What was read, for example `Pipeline(StandardScaler, MLPClassifier)`.
        width: The number of inputs.
        names: A name for each input, or empty where the model has none.
        mean: `(width,)` float64, subtracted from the inputs, or None.
        scale: `(width,)` float64, divides the inputs then, or None.
        layers: Each as `spec.parse` reads it: `name`, `weights`, `bias`, `activation`.
        outputs: A name for each output, or empty where the model has none.
        classes: A label for each class, or empty when the model is no classifier.
        compute: What the framework computes of rows `(rows, width)` float64: `(rows, outputs)` float64.
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
