"""Predictions and the values of traces and explanations: frozen, with read-only arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from forwardpass._values import Value
from forwardpass.attribution import AttributionMethod, AttributionScale
from forwardpass.numerics import Numerics
from forwardpass.tensors import Array


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassProbability:
    """A class and its probability."""

    label: str
    probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Classification:
    """Class of one row, by a classifier.

    Attributes:
        label: The class that is chosen: the most probable one, or where a single output is the probability
            of the second class, that one from its threshold on.
        probability: The probability of that class.
        chosen: Of a classifier whose classes each have a threshold, all that reach theirs; otherwise empty.
        top: With `top_k`, the most probable classes, the most probable first.
    """

    label: str
    probability: float
    chosen: tuple[str, ...] = ()
    top: tuple[ClassProbability, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class InputWarning:
    """A number that is out of its feature's range, and was computed all the same.

    Attributes:
        row: The row, counted from 0.
        feature: The feature's name.
        value: The number, in the network's dtype.
        message: The warning, in a sentence.
    """

    row: int
    feature: str
    value: float
    message: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class Prediction(Value):
    """The outputs of a network, and which version of it computed them.

    Attributes:
        outputs: `(rows, outputs)` in the network's dtype, read-only.
        network: The network's name.
        version: The number of the version that computed the outputs.
        digest: That version's SHA-256, so that the prediction can be replayed.
        output_names: A name for each output.
        classifications: For a classifier, one for each row; otherwise empty.
        numerics: `exact` when the outputs have these bits in every batch, or `fast`.
        warnings: The first hundred numbers that are out of their features' ranges.
        warning_count: How many such numbers there are in all.
    """

    outputs: Array
    network: str
    version: int
    digest: str
    output_names: tuple[str, ...]
    classifications: tuple[Classification, ...] = ()
    numerics: Numerics = "exact"
    warnings: tuple[InputWarning, ...] = ()
    warning_count: int = field(default=0, repr=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """For a classifier, the class of each row; otherwise empty."""
        return tuple(classification.label for classification in self.classifications)

    def _repr_html_(self) -> str:
        from forwardpass.render.tables import prediction_table  # noqa: PLC0415 - only when a table is shown

        return prediction_table(self)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class LayerTrace(Value):
    """Values of one layer, node by node.

    Attributes:
        name: The layer's name.
        nodes: A name for each node.
        function: The activation function with its parameters, for example `relu`,
            `leaky_relu(negative_slope=0.1)` or `max(x, a * x) with a=0.1`.
        parameters: The function's parameters.
        inputs: A name for each value that the layer reads.
        pre_activation: `(rows, nodes)`: weights x input + bias, or the values that another kind of layer computes.
        activation: `(rows, nodes)`: the function of the pre-activation.
        contributions: `(rows, nodes, inputs)`: weight x value, or None without the option `contributions`.
            Summed over the inputs, plus the bias, they give the pre-activation up to rounding.
        bias: `(nodes,)`, or None without the option `contributions`.
        from_: The sources of the layer: layers, groups of inputs, or `inputs` for all inputs.
        merge: How several become one: `sum`, `concatenate`, `multiply`, `mean` or `max`; None where there is one.
        merged: `(rows, inputs)`: the values that the layer reads where it merges several, else None.
        kind: The kind of the layer: `dense` where the pre-activation is weights x input + bias, or another.
        percentiles: `(rows, nodes) float64`: how usual the activations are, from 0 to 100; None without the option
            `percentiles`, or where the version has no profile.
    """

    name: str
    nodes: tuple[str, ...]
    function: str
    parameters: Mapping[str, float]
    inputs: tuple[str, ...]
    pre_activation: Array
    activation: Array
    contributions: Array | None = None
    bias: Array | None = None
    from_: tuple[str, ...] = ()
    merge: str | None = None
    merged: Array | None = None
    kind: str = "dense"
    percentiles: Array | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class TraceValues(Value):
    """The values of a trace, which `models.Trace` documents and draws."""

    outputs: Array
    network: str
    version: int
    digest: str
    output_names: tuple[str, ...]
    classifications: tuple[Classification, ...] = ()
    inputs: Array
    input_names: tuple[str, ...]
    layers: tuple[LayerTrace, ...]
    numerics: Numerics = "exact"
    warnings: tuple[InputWarning, ...] = ()
    warning_count: int = field(default=0, repr=False)
    profile_rows: int = field(default=0, repr=False)
    input_percentiles: Array | None = None
    output_percentiles: Array | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        """For a classifier, the class of each row; otherwise empty."""
        return tuple(classification.label for classification in self.classifications)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class LayerAttributions(Value):
    """The shares of the nodes of one layer in the explained outputs.

    Attributes:
        name: The layer's name.
        nodes: A name for each node.
        attributions: `(rows, nodes)`, or `(rows, explained outputs, nodes)` where several outputs are explained.
    """

    name: str
    nodes: tuple[str, ...]
    attributions: Array


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, repr=False)
class ExplanationValues(Value):
    """The values of an explanation, which `models.Explanation` documents and draws."""

    attributions: Array
    method: AttributionMethod
    scale: AttributionScale = "outputs"
    outputs: Array
    network: str
    version: int
    digest: str
    output_names: tuple[str, ...]
    output_classes: tuple[str, ...] = ()
    classifications: tuple[Classification, ...] = ()
    input_names: tuple[str, ...]
    input_values: Array
    categories: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    explained_outputs: tuple[tuple[str, ...], ...]
    explained_values: Array
    baseline_outputs: Array | None = None
    completeness_error: Array | None = None
    standard_error: Array | None = None
    steps: tuple[tuple[int, ...], ...] = ()
    converged: tuple[tuple[bool, ...], ...] = ()
    layers: tuple[LayerAttributions, ...] = ()
    numerics: Numerics = "exact"
    warnings: tuple[InputWarning, ...] = ()
    warning_count: int = field(default=0, repr=False)

    @property
    def labels(self) -> tuple[str, ...]:
        """For a classifier, the class of each row; otherwise empty."""
        return tuple(classification.label for classification in self.classifications)

    @property
    def explained_classes(self) -> tuple[tuple[str, ...], ...]:
        """For a classifier, the classes that the explained outputs of each row stand for; otherwise empty."""
        classes = dict(zip(self.output_names, self.output_classes, strict=False))
        return tuple(tuple(classes[name] for name in names) for names in self.explained_outputs) if classes else ()

    def output_label(self, name: str) -> str:
        """Return an output in words: of a classifier its class, else its name.

        The output's name follows in parentheses where it is another one, and more than a number: `large (size_l)`.
        """
        index = self.output_names.index(name)
        label = self.output_classes[index] if self.output_classes else name
        shown = label if label == name or name.endswith(f"_{index}") else f"{label} ({name})"
        is_of_two = len(self.output_classes) == 1
        return f"probability of {shown}" if is_of_two and self.scale == "outputs" else shown
