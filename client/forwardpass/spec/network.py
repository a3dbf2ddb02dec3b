"""The values of a spec: a checked, complete and frozen description of a network.

`parse` and the readers of the other forms check everything. Values that are made by hand are not checked.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final

import numpy as np

from forwardpass._values import PicklableValue
from forwardpass.numerics import Numerics
from forwardpass.spec.feature_kinds import NAN, REFUSE, FeatureKind, OutOfRange
from forwardpass.tensors import Array

DENSE: Final = "dense"
"""The kind of a layer that does not name one."""

ELEMENTWISE: Final = "elementwise"
"""The kind whose formula is in its settings, as an expression."""

RECURRENT: Final = "recurrent"
"""The kind whose settings name functions."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Activation(PicklableValue):
    """An activation function with all of its parameters.

    Attributes:
        name: A name in the vocabulary, or empty when there is an expression.
        parameters: The value of every parameter of the function.
        expression: A function of `x` in its canonical text, or empty when there is a name.
    """

    name: str
    parameters: Mapping[str, float] = field(hash=False)
    expression: str = ""

    def __str__(self) -> str:
        """Return for example `relu`, `leaky_relu(negative_slope=0.1)` or `max(x, a * x) with a=0.1`."""
        said = ", ".join(f"{key}={value:g}" for key, value in self.parameters.items())
        if self.expression:
            return f"{self.expression} with {said}" if said else self.expression
        return f"{self.name}({said})" if said else self.name


@dataclass(frozen=True, kw_only=True, slots=True)
class Feature:
    """One named input.

    Attributes:
        name: The name by which rows give it.
        mean: Subtracted from the input before the first layer.
        scale: Divides the input after the mean is subtracted; never 0.
        unit: The unit of measurement, or empty.
        description: What the feature means, or empty.
        kind: `number`, `category` or `boolean`.
        low: The smallest number in range, or None.
        high: The largest number in range, or None.
        out_of_range: How other numbers are handled: `warn` or `refuse`.
        categories: The categories of a category; the input is the index of one.
        missing: The fill value of a missing value: a number, 1 or 0 for true or false, a category, or `nan`;
            `refuse` where nothing does.
        unknown: The fill value of a text that is no category: a category or `nan`; `refuse` where nothing does.
    """

    name: str
    mean: float = 0.0
    scale: float = 1.0
    unit: str = ""
    description: str = ""
    kind: FeatureKind = "number"
    low: float | None = None
    high: float | None = None
    out_of_range: OutOfRange = "warn"
    categories: tuple[str, ...] = ()
    missing: float | str = REFUSE
    unknown: str = REFUSE

    @property
    def is_typed(self) -> bool:
        """Whether it is anything but a number without a range and a fill value."""
        return self.kind != "number" or self.has_range or self.missing != REFUSE

    @property
    def has_range(self) -> bool:
        """Whether its numbers have a range."""
        return self.low is not None or self.high is not None

    def fill_value(self, word: float | str) -> float | None:
        """Return the number of the fill value `missing` or `unknown`, None where there is none."""
        if word == REFUSE:
            return None
        if isinstance(word, str):
            return math.nan if word == NAN else float(self.categories.index(word))
        return word


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """The metadata of an output.

    Attributes:
        unit: The unit of measurement, or empty.
        description: What the output means, or empty.
        scale: Multiplies what the last layer computes.
        shift: Added to it after that.
    """

    unit: str = ""
    description: str = ""
    scale: float = 1.0
    shift: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class InputGroup:
    """Adjacent inputs with a name by which layers read them.

    Attributes:
        name: Unique among groups and layers.
        width: How many inputs it has.
    """

    name: str
    width: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Inputs(PicklableValue):
    """The inputs of a network.

    Attributes:
        width: The number of inputs.
        features: One for each input, or empty when the inputs have no names.
        mean: `(width,)` in the spec's dtype, or None when every mean is 0.
        scale: `(width,)` in the spec's dtype, or None when every scale is 1.
        groups: In order and covering all inputs, or empty.
    """

    width: int
    features: tuple[Feature, ...] = ()
    groups: tuple[InputGroup, ...] = ()
    mean: Array | None = field(default=None, compare=False, repr=False)
    scale: Array | None = field(default=None, compare=False, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the features, or `input_0`, `input_1` and so on, in a group `GROUP_0`, `GROUP_1` and so on."""
        if self.features:
            return tuple(feature.name for feature in self.features)
        groups = [(group.name, group.width) for group in self.groups] or [("input", self.width)]
        return tuple(chain.from_iterable(default_names(name, width) for name, width in groups))

    def __repr__(self) -> str:
        names = f", {_shortened(self.names)}" if self.features else ""
        return f"Inputs(width={self.width}{names})"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Layer(PicklableValue):
    """One layer: the formula of its kind, and the activation function of that.

    Two layers are equal when all their fields are equal and their numbers have the same bits.

    Attributes:
        name: Unique in the network.
        kind: A name in `layers.KINDS`; `dense` is activation(weights x input + bias).
        arrays: The arrays of its kind in the spec's dtype, read-only; an optional array may be missing.
        settings: The numbers, words and tuples of integers of its kind.
        inputs: The number of values that it reads.
        activation: The activation function.
        nodes: A name for each node.
        from_: What it reads: layers, groups of inputs, or `inputs` for all of them; never empty.
        merge: A name in `MERGES` when it reads several, else None.
    """

    name: str
    kind: str = DENSE
    arrays: Mapping[str, Array]
    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: int
    activation: Activation
    nodes: tuple[str, ...]
    from_: tuple[str, ...]
    merge: str | None = None

    @property
    def weights(self) -> Array:
        """The weights of a dense layer, `(outputs, inputs)`, before its mask."""
        return self.arrays["weights"]

    @property
    def bias(self) -> Array:
        """The bias of a dense layer, `(outputs,)`."""
        return self.arrays["bias"]

    @property
    def outputs(self) -> int:
        """The number of nodes."""
        return len(self.nodes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layer):
            return NotImplemented
        return self._words() == other._words() and all(
            _same_bits(array, other.arrays[key]) for key, array in self.arrays.items()
        )

    def __hash__(self) -> int:
        return hash((self._words(), *(array.dtype for array in self.arrays.values())))

    def __repr__(self) -> str:
        kind = "" if self.kind == DENSE else f"{self.kind}, "
        return f"Layer({self.name!r}, {kind}{self.inputs} -> {self.outputs}, {self.activation})"

    def _words(self) -> tuple[object, ...]:
        said = tuple(self.settings.items())
        return self.name, self.kind, tuple(self.arrays), said, self.activation, self.nodes, self.from_, self.merge


@dataclass(frozen=True, kw_only=True, slots=True)
class Example(PicklableValue):
    """One row of inputs with the outputs that it must give.

    Attributes:
        inputs: A number for each input, before standardization; None where it is missing.
        outputs: A number for each output.
        tolerance: The largest accepted absolute difference, or None for the dtype's default.
    """

    inputs: tuple[float | None, ...]
    outputs: tuple[float, ...]
    tolerance: float | None = None

    def __repr__(self) -> str:
        tolerance = "" if self.tolerance is None else f", tolerance={self.tolerance:g}"
        return f"Example({_shortened(self.inputs)} -> {_shortened(self.outputs)}{tolerance})"


@dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSpec(PicklableValue):
    """A network: everything that defines it.

    Attributes:
        dtype: `float32` or `float64`: the arithmetic of the whole network.
        inputs: The inputs.
        layers: Each after the layers it reads.
        output_layers: The layers whose nodes, side by side, are the outputs; often the last one alone.
        outputs: A name for each output.
        classes: A label for each class, or empty when the network is no classifier.
        description: What the network is for.
        metadata: Texts by key, for the owner.
        tags: Words to find the network by.
        examples: Rows with the outputs that they must give.
        allow_non_finite_inputs: Whether NaN and infinity are accepted in inputs.
        numerics: `exact` or `fast`, or None for the server's setting.
        output_metadata: What is known of each output besides its name, or empty.
        thresholds: From which output on a class is chosen: one number for a single output, else one for
            each class, of which then several may be chosen; or empty.
    """

    dtype: str
    inputs: Inputs
    layers: tuple[Layer, ...]
    output_layers: tuple[str, ...]
    outputs: tuple[str, ...]
    classes: tuple[str, ...] = ()
    description: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict, hash=False)
    tags: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    allow_non_finite_inputs: bool = False
    numerics: Numerics | None = None
    output_metadata: tuple[Output, ...] = ()
    thresholds: tuple[float, ...] = ()

    @property
    def is_chain(self) -> bool:
        """Whether every layer reads only the layer before it, and the last one is the output."""
        before = ("inputs", *(layer.name for layer in self.layers))
        alone = self.output_layers == (before[-1],)
        return alone and all(layer.from_ == (name,) for name, layer in zip(before, self.layers, strict=False))

    @property
    def parameter_count(self) -> int:
        """The number of weights, biases and all other numbers in the layers' arrays."""
        return sum(int(array.size) for layer in self.layers for array in layer.arrays.values())

    def _repr_svg_(self) -> str:
        from forwardpass.render import draw_network  # noqa: PLC0415 - only when a picture is drawn

        return draw_network(self).svg()

    def __repr__(self) -> str:
        layers = " -> ".join(f"{layer.name}({layer.outputs}, {layer.activation})" for layer in self.layers)
        if not self.is_chain:
            layers = f"graph of {len(self.layers)} layers"
        return (
            f"NetworkSpec({self.dtype}, {self.inputs.width} inputs -> {layers}, "
            f"{self.parameter_count} parameters, {len(self.examples)} examples)"
        )


def default_names(prefix: str, count: int) -> tuple[str, ...]:
    """Return `prefix_0`, `prefix_1` and so on."""
    return tuple(f"{prefix}_{index}" for index in range(count))


def default_outputs(layers: tuple[Layer, ...], output_layers: tuple[str, ...]) -> tuple[str, ...]:
    """Return the node names of the layers that are outputs, side by side."""
    nodes = {layer.name: layer.nodes for layer in layers}
    return tuple(chain.from_iterable(nodes[name] for name in output_layers))


def _same_bits(one: Array, other: Array) -> bool:
    return (
        one.dtype == other.dtype
        and one.shape == other.shape
        and np.array_equal(one.view(f"u{one.itemsize}"), other.view(f"u{other.itemsize}"))
    )


def _shortened(values: tuple[object, ...]) -> str:
    shown = [f"{value:g}" if isinstance(value, float) else repr(value) for value in values[:4]]
    return f"[{', '.join(shown)}{', ...' if len(values) > 4 else ''}]"
