"""The kinds of layers: the arrays and settings of each, its formula in words, and the checks between its arrays.

A layer computes its pre-activation from x, the values that it reads, and applies its activation function to that. Each
kind is one class here. The server's `core/operations.py` computes it, `importers/reference` computes it independently
for comparison, `onnx_form/kinds.py` writes it as ONNX nodes, and `network.proto` has its message.

Axes with the same name have the same length within a layer: `inputs` is the number of values that the layer reads,
`outputs` the number of its nodes.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias, Union, get_args

import numpy as np
from pydantic import BeforeValidator, Discriminator, Field, Tag

from forwardpass.spec import convolution, recurrence
from forwardpass.spec.activations import ActivationField
from forwardpass.spec.convolution import Geometry
from forwardpass.spec.fields.arrays import (
    Ascending,
    Different,
    Indices,
    Mask,
    Matrix,
    Table,
    Variance,
    Vector,
    Windows,
)
from forwardpass.spec.fields.base import Model, Problem, as_dict
from forwardpass.spec.fields.formula import Formula, count_operands
from forwardpass.spec.fields.scalars import (
    Count,
    Epsilon,
    Identifier,
    Identifiers,
    Number,
    Pads,
    Rate,
    Shape,
    Sizes,
    Sources,
)
from forwardpass.spec.network import DENSE, Activation
from forwardpass.tensors import Array

_EPSILON: Final = 1e-5

Cell: TypeAlias = Literal["rnn", "gru", "lstm"]
"""The cells of recurrent layers."""

CellActivation: TypeAlias = Literal[
    "identity", "relu", "relu6", "selu", "gelu", "silu", "softsign", "tanh", "sigmoid", "hard_sigmoid"
]
"""The functions within a cell: activations without parameters."""


@dataclass(frozen=True, slots=True)
class Axes:
    """The axes of an array of a layer, and the number that fills it when a layer leaves it out.

    Attributes:
        names: The name of each axis.
        fill: The number that fills the array; None where an array that is left out does not exist.
    """

    names: tuple[str, ...]
    fill: float | None = None


def _axes(*names: str, fill: float | None = None) -> Axes:
    return Axes(names, fill)


class LayerModel(Model):
    """The fields of every layer."""

    name: Identifier | None = Field(None, description="Unique; layer_ and the layer's index when left out.")
    activation: ActivationField = Field(
        Activation(name="identity", parameters={}),
        description="The function applied to the pre-activation.",
        json_schema_extra={"default": "identity"},
    )
    nodes: Identifiers | None = Field(
        None, description="A name for each node; the layer's name, underscore and index when left out."
    )
    from_: Sources | None = Field(
        None,
        alias="from",
        description="The layers or input groups that it reads, or inputs for all inputs; "
        "the layer before when left out.",
    )
    merge: Literal["sum", "concatenate", "multiply", "mean", "max"] | None = Field(
        None, description="How the activations of several layers become one input."
    )

    @classmethod
    def count_nodes(cls, lengths: Mapping[str, int]) -> int | None:
        """Return the number of nodes, or None where it is not known.

        Args:
            lengths: The length of each axis, as far as it is known.
        """
        return lengths.get("outputs" if cls in _WITH_OUTPUTS else "inputs")

    @classmethod
    def declared_lengths(cls, document: Mapping[Any, object]) -> Mapping[str, int]:
        """Return the lengths that the settings of a layer's document declare, as far as they are right."""
        del document
        return {}

    @classmethod
    def check_declared(cls, given: Mapping[str, object], reads: int | None) -> Iterator[Problem]:
        """Yield each array that this layer lacks, and that others of its kind may leave out.

        Args:
            given: The arrays that the layer has.
            reads: The number of values that it reads, None where it is not known.
        """
        del given, reads
        return iter(())

    def check_arrays(self, inputs: int) -> Iterator[Problem]:
        """Yield what is wrong between arrays that are right by themselves.

        Args:
            inputs: The number of values that the layer reads.
        """
        del inputs
        return iter(())

    def settings(self) -> dict[str, Any]:
        """Return the settings, the numbers and words of the kind that the layer has or that have a default."""
        values: list[tuple[str, Any]] = [(name, getattr(self, name)) for name in _OWN_FIELDS[type(self)]]
        return {name: value for name, value in values if isinstance(value, int | float | str)}

    @classmethod
    def kind_name(cls) -> str:
        """Return the name that a document has for the kind."""
        (name,) = get_args(cls.model_fields["kind"].annotation)
        return str(name)

    @classmethod
    def arrays(cls) -> Iterator[tuple[str, Axes]]:
        """Yield each array of the kind with its axes, in the order of the canonical content."""
        for name, declared in cls.model_fields.items():
            yield from ((name, axes) for axes in declared.metadata if isinstance(axes, Axes))


class DenseModel(LayerModel):
    """Weights times x, plus bias."""

    kind: Literal["dense"] = "dense"
    weights: Annotated[Matrix, _axes("outputs", "inputs")] = Field(
        description="A row of weights for each node, in a list or by node name."
    )
    bias: Annotated[Vector | None, _axes("outputs", fill=0.0)] = Field(
        None, description="A number for each node; zeros when left out."
    )
    mask: Annotated[Mask | None, _axes("outputs", "inputs")] = Field(
        None, description="For each weight 1 where it counts, 0 where it is as if it were 0."
    )


class ScaleShiftModel(LayerModel):
    """x * scale + shift, value by value."""

    kind: Literal["scale_shift"]
    scale: Annotated[Vector | None, _axes("inputs", fill=1.0)] = Field(
        None, description="A factor for each value; ones when left out."
    )
    shift: Annotated[Vector | None, _axes("inputs", fill=0.0)] = Field(
        None, description="Added to each value after that; zeros when left out."
    )


class BatchNormModel(LayerModel):
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta, with the moments of training (Ioffe & Szegedy, 2015)."""

    kind: Literal["batch_norm"]
    mean: Annotated[Vector, _axes("inputs")] = Field(description="The moving mean of each value.")
    variance: Annotated[Variance, _axes("inputs")] = Field(
        description="The moving variance of each value, 0 or greater."
    )
    gamma: Annotated[Vector | None, _axes("inputs", fill=1.0)] = Field(
        None, description="A factor for each value; ones when left out."
    )
    beta: Annotated[Vector | None, _axes("inputs", fill=0.0)] = Field(
        None, description="Added to each value; zeros when left out."
    )
    epsilon: Epsilon = Field(_EPSILON, description="Added to the variance; greater than 0.")


class LayerNormModel(LayerModel):
    """gamma * (x - m) / sqrt(v + epsilon) + beta, with the moments m and v of the row itself (Ba et al., 2016).

    With groups, of each group of consecutive values (Wu & He, Group Normalization, 2018).
    """

    kind: Literal["layer_norm"]
    gamma: Annotated[Vector | None, _axes("inputs", fill=1.0)] = Field(
        None, description="A factor for each value; ones when left out."
    )
    beta: Annotated[Vector | None, _axes("inputs", fill=0.0)] = Field(
        None, description="Added to each value; zeros when left out."
    )
    epsilon: Epsilon = Field(_EPSILON, description="Added to the variance; greater than 0.")
    groups: Count = Field(1, description="The number of groups of consecutive values, each with its own moments.")

    def check_arrays(self, inputs: int) -> Iterator[Problem]:
        """Yield a number of groups that does not divide the values."""
        return _undivided(self.groups, inputs)


class EmbeddingModel(LayerModel):
    """For each x the row of the table at that index, else NaN; inputs x size nodes (Bengio et al., 2003)."""

    kind: Literal["embedding"]
    table: Annotated[Table, _axes("categories", "size")] = Field(
        description="A row of numbers for each category, from category 0 on."
    )

    @classmethod
    def count_nodes(cls, lengths: Mapping[str, int]) -> int | None:
        """Return the number of nodes: a row of the table for each value."""
        return lengths["inputs"] * lengths["size"] if {"inputs", "size"} <= lengths.keys() else None


class OneHotModel(LayerModel):
    """For each node 1 where the x at its index equals its category, else 0."""

    kind: Literal["one_hot"]
    categories: Annotated[Vector, _axes("outputs")] = Field(description="A number for each node.")
    indices: Annotated[Indices | None, _axes("outputs", fill=0.0)] = Field(
        None, description="The index of the x of each node, from 0; may be left out where the layer reads one value."
    )

    @classmethod
    def check_declared(cls, given: Mapping[str, object], reads: int | None) -> Iterator[Problem]:
        """Yield the indices where the layer reads several values."""
        if "indices" not in given and reads is not None and reads > 1:
            yield (
                ("indices",),
                f"is missing; each node needs the index of one of the {reads} values",
            )

    def check_arrays(self, inputs: int) -> Iterator[Problem]:
        """Yield indices beyond the values, and categories that appear twice for one value."""
        places = np.zeros(len(self.categories)) if self.indices is None else self.indices
        yield from _beyond("indices", places, inputs)
        first: dict[tuple[float, float], int] = {}
        for node, pair in enumerate(zip(places.tolist(), self.categories.tolist(), strict=True)):
            if first.setdefault(pair, node) != node:
                yield ("categories", node), f"is the category of node {first[pair]} already, for the same value"


class BucketizeModel(LayerModel):
    """For each x the number of boundaries that are less than or equal to it; NaN stays NaN."""

    kind: Literal["bucketize"]
    boundaries: Annotated[Ascending, _axes("boundaries")] = Field(description="In ascending order.")


class LookupModel(LayerModel):
    """For each x the value beside the key that equals it, else the default."""

    kind: Literal["lookup"]
    keys: Annotated[Different, _axes("keys")] = Field(description="Numbers to look up, all different.")
    values: Annotated[Vector, _axes("keys")] = Field(description="A number for each key.")
    default: Number | None = Field(None, description="The value where no key equals x; NaN when left out.")


class ClipModel(LayerModel):
    """min(max(x, low), high), value by value."""

    kind: Literal["clip"]
    low: Annotated[Vector | None, _axes("inputs")] = Field(
        None, description="The smallest of each value; none when left out."
    )
    high: Annotated[Vector | None, _axes("inputs")] = Field(
        None, description="The largest of each value, not less than low; none when left out."
    )

    def check_arrays(self, inputs: int) -> Iterator[Problem]:
        """Yield each bound above that is less than the bound below."""
        del inputs
        if self.low is not None and self.high is not None:
            for place in np.flatnonzero(self.high < self.low).tolist():
                yield ("high", place), f"is {self.high[place]:g}, which is less than the low of {self.low[place]:g}"


class ImputeModel(LayerModel):
    """x, or its number in values where x is missing."""

    kind: Literal["impute"]
    values: Annotated[Vector, _axes("inputs")] = Field(
        description="The number that replaces each value where it is missing."
    )
    missing: Number | None = Field(None, description="The number that marks a missing value; NaN when left out.")


class DropoutModel(LayerModel):
    """x: dropout happens in training only (Srivastava et al., 2014)."""

    kind: Literal["dropout"]
    rate: Rate = Field(0.0, description="The share of values that training dropped; of no effect.")


class TakeModel(LayerModel):
    """The x at each index, in order: selections, slices, permutations."""

    kind: Literal["take"]
    indices: Annotated[Indices, _axes("outputs")] = Field(description="The index of the x of each node, from 0.")

    def check_arrays(self, inputs: int) -> Iterator[Problem]:
        """Yield indices beyond the values."""
        return _beyond("indices", self.indices, inputs)


class PoolModel(LayerModel):
    """For each node the largest, mean, sum or smallest x of its window."""

    kind: Literal["pool"]
    windows: Annotated[Windows, _axes("outputs", "size")] = Field(
        description="For each node the indices of its x, from 0; equally many for all nodes."
    )
    reduce: Literal["max", "mean", "sum", "min"] = Field(description="How a window becomes one value.")

    def check_arrays(self, inputs: int) -> Iterator[Problem]:
        """Yield indices beyond the values."""
        return _beyond("windows", self.windows, inputs)


class MatmulModel(LayerModel):
    """For each group the product of a matrix, rows x inner, with one of inner x columns; x has all left ones first."""

    kind: Literal["matmul"]
    groups: Count = Field(1, description="The number of groups, each of which has a product of its own.")
    rows: Count = Field(description="The rows of a left matrix.")
    inner: Count = Field(description="The columns of a left matrix, and the rows of a right one.")
    columns: Count = Field(description="The columns of a right matrix.")

    @classmethod
    def count_nodes(cls, lengths: Mapping[str, int]) -> int | None:
        """Return the number of nodes: those of all products."""
        known = {"groups", "rows", "columns"} <= lengths.keys()
        return lengths["groups"] * lengths["rows"] * lengths["columns"] if known else None

    @classmethod
    def declared_lengths(cls, document: Mapping[Any, object]) -> Mapping[str, int]:
        """Return the sizes of the matrices."""
        said = {"groups": 1, **document}
        sizes = {key: _size(said.get(key)) for key in ("groups", "rows", "inner", "columns")}
        return {key: size for key, size in sizes.items() if size is not None}

    def check_arrays(self, inputs: int) -> Iterator[Problem]:
        """Yield sizes that need another number of values than the layer reads."""
        needed = self.groups * self.inner * (self.rows + self.columns)
        if needed != inputs:
            shown = f"{self.groups} x ({self.rows} x {self.inner} + {self.inner} x {self.columns})"
            yield ("inner",), f"makes matrices of {shown} = {needed} values; the layer reads {inputs}"


class ElementwiseModel(LayerModel):
    """A function of one, two or three values: x is cut into equal parts, of which each node takes one value."""

    kind: Literal["elementwise"]
    expression: Formula = Field(
        description="An expression over x, y and z, the parts; how many it reads is how many there are."
    )

    @classmethod
    def count_nodes(cls, lengths: Mapping[str, int]) -> int | None:
        """Return the number of nodes: the values of a part."""
        return lengths["inputs"] // lengths["parts"] if {"inputs", "parts"} <= lengths.keys() else None

    @classmethod
    def declared_lengths(cls, document: Mapping[Any, object]) -> Mapping[str, int]:
        """Return the number of parts."""
        parts = count_operands(document.get("expression"))
        return {} if parts is None else {"parts": parts}

    def check_arrays(self, inputs: int) -> Iterator[Problem]:
        """Yield an expression whose parts do not divide the values."""
        parts = count_operands(self.expression) or 1
        if inputs % parts:
            yield ("expression",), f"reads {parts} parts; the layer reads {inputs} values, which is no multiple of it"


class GroupSoftmaxModel(LayerModel):
    """exp(x) / (the sum of exp(x) over the group), for each group of consecutive x (Bridle, 1990)."""

    kind: Literal["group_softmax"]
    groups: Count = Field(description="The number of groups.")

    def check_arrays(self, inputs: int) -> Iterator[Problem]:
        """Yield a number of groups that does not divide the values."""
        return _undivided(self.groups, inputs)


class GroupSparsemaxModel(LayerModel):
    """max(x - t, 0), whose t makes their sum 1, for each group of consecutive x (Martins & Astudillo, 2016)."""

    kind: Literal["group_sparsemax"]
    groups: Count = Field(description="The number of groups.")

    def check_arrays(self, inputs: int) -> Iterator[Problem]:
        """Yield a number of groups that does not divide the values."""
        return _undivided(self.groups, inputs)


def _size(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _undivided(groups: int, inputs: int) -> Iterator[Problem]:
    if inputs % groups:
        yield ("groups",), f"is {groups}; must divide the {inputs} values that the layer reads"


class ConvModel(LayerModel):
    """For each filter and position the filter's weights times the window there, plus bias; as ONNX's Conv."""

    kind: Literal["conv"]
    weights: Annotated[Table, _axes("filters", "window")] = Field(
        description="A row of weights for each filter: those of the channels of its group, each over the kernel."
    )
    bias: Annotated[Vector | None, _axes("filters", fill=0.0)] = Field(
        None, description="A number for each filter; zeros when left out."
    )
    input_shape: Shape = Field(
        description="The channels and then the size of each axis; the layer reads the values in this order."
    )
    kernel_shape: Sizes = Field(description="The size of the kernel along each axis; 1 to 3 axes.")
    strides: Sizes | None = Field(None, description="The distance between windows along each axis; ones when left out.")
    pads: Pads | None = Field(
        None, description="The zeros before each axis, then those after each axis; zeros when left out."
    )
    dilations: Sizes | None = Field(
        None, description="The distance between the values of a window along each axis; ones when left out."
    )
    input_dilations: Sizes | None = Field(
        None,
        description="The distance between neighbouring values of a channel along each axis, with zeros between them; "
        "ones when left out.",
    )
    group: Count = Field(1, description="The groups of channels, each of which has its share of the filters.")

    @classmethod
    def count_nodes(cls, lengths: Mapping[str, int]) -> int | None:
        """Return the number of nodes: one for each filter and position."""
        return lengths["filters"] * lengths["positions"] if {"filters", "positions"} <= lengths.keys() else None

    @classmethod
    def declared_lengths(cls, document: Mapping[Any, object]) -> Mapping[str, int]:
        """Return the numbers of positions, of values of a row with its padding, and of products of each node."""
        geometry = convolution.read_geometry(document)
        if geometry is None:
            return {}
        return {"positions": geometry.positions, "padded": prod(geometry.padded_shape), "products": geometry.window}

    def settings(self) -> dict[str, Any]:
        """Return all settings, those that are left out too."""
        given = {name: value for name in _GEOMETRY if (value := getattr(self, name)) is not None}
        return {**convolution.filled_lists(given), "group": self.group}

    def check_arrays(self, inputs: int) -> Iterator[Problem]:
        """Yield what is wrong with the geometry, and between the geometry and the weights."""
        settings = self.settings()
        wrong = list(convolution.length_problems({name: settings[name] for name in _GEOMETRY}))
        if not wrong:
            geometry = Geometry(**settings)
            wrong = [*convolution.problems(geometry), *self._fit(geometry, inputs)]
        yield from wrong

    def _fit(self, geometry: Geometry, inputs: int) -> Iterator[Problem]:
        filters, window = self.weights.shape
        if geometry.inputs != inputs:
            yield ("input_shape",), f"has {geometry.inputs} values together; must have {inputs}, as the layer reads"
        if filters % geometry.group:
            yield ("group",), f"is {geometry.group}; must divide the {filters} filters"
        if geometry.input_shape[0] % geometry.group == 0 and window != geometry.window:
            what = "one for each channel of a group and place of the kernel"
            yield ("weights",), f"has {window} numbers in each row; must have {geometry.window}, {what}"


_GEOMETRY: Final = ("input_shape", "kernel_shape", "strides", "pads", "dilations", "input_dilations")


class RecurrentModel(LayerModel):
    """For each step the state of a cell, from the values of the step and the state before; as ONNX's RNN, GRU, LSTM.

    The layer reads the values of the first step, then those of the next, and perhaps the initial state after them.
    """

    kind: Literal["recurrent"]
    weights: Annotated[Table, _axes("gates", "features")] = Field(
        description="A row for each unit of each gate, which multiplies the values of a step; gates as ONNX has them."
    )
    recurrent_weights: Annotated[Table, _axes("gates", "units")] = Field(
        description="A row for each unit of each gate, which multiplies the hidden state before."
    )
    bias: Annotated[Vector | None, _axes("gates", fill=0.0)] = Field(
        None, description="A number for each unit of each gate; zeros when left out."
    )
    recurrent_bias: Annotated[Vector | None, _axes("gates", fill=0.0)] = Field(
        None, description="Added to the product with the state; zeros when left out."
    )
    cell: Cell = Field(description="What a step computes: rnn (Elman, 1990), gru (Cho et al., 2014) or lstm.")
    steps: Count = Field(description="The number of steps.")
    gate_activation: CellActivation = Field("sigmoid", description="The function of the gates of gru and lstm.")
    state_activation: CellActivation = Field("tanh", description="The function of the new state.")
    reset: Literal["after", "before"] = Field(
        "after", description="Whether the reset gate of gru multiplies the product with the state, or the state itself."
    )
    final_cell: bool = Field(
        False,
        description="Whether the cell state of lstm after the last step follows the hidden states.",
        json_schema_extra={"default": False},
    )

    @classmethod
    def count_nodes(cls, lengths: Mapping[str, int]) -> int | None:
        """Return the number of nodes: a hidden state for each step, and perhaps the cell state."""
        known = {"units", "states"} <= lengths.keys()
        return lengths["units"] * lengths["states"] if known else None

    @classmethod
    def declared_lengths(cls, document: Mapping[Any, object]) -> Mapping[str, int]:
        """Return how many states the nodes are."""
        steps = _size(document.get("steps"))
        return {} if steps is None else {"states": steps + (document.get("final_cell") is True)}

    def check_arrays(self, inputs: int) -> Iterator[Problem]:
        """Yield what is wrong between the arrays, the cell and the values that the layer reads."""
        (gates, features), units = self.weights.shape, self.recurrent_weights.shape[1]
        needed = recurrence.GATES[self.cell] * units
        if gates != needed:
            what = f"{recurrence.GATES[self.cell]} gates of {units} units in a cell {self.cell}"
            yield ("weights",), f"has {gates} rows; must have {needed}, of {what}"
        own = self.steps * features
        with_state = own + recurrence.STATES[self.cell] * units
        if inputs not in {own, with_state}:
            made = f"makes {self.steps} x {features} = {own} values, or {with_state} with the initial state"
            yield ("steps",), f"{made}; the layer reads {inputs}"
        if self.final_cell and self.cell != "lstm":
            yield ("final_cell",), f"is true; a cell {self.cell} has no cell state"


def _beyond(key: str, places: Array, inputs: int) -> Iterator[Problem]:
    for place in np.argwhere(places >= inputs).tolist():
        yield (key, *place), f"is {places[tuple(place)]:g}; the layer reads {inputs} values, counted from 0"


_MODELS: Final[tuple[type[LayerModel], ...]] = (
    DenseModel,
    ScaleShiftModel,
    BatchNormModel,
    LayerNormModel,
    EmbeddingModel,
    OneHotModel,
    BucketizeModel,
    LookupModel,
    ClipModel,
    ImputeModel,
    DropoutModel,
    TakeModel,
    PoolModel,
    MatmulModel,
    ElementwiseModel,
    GroupSoftmaxModel,
    GroupSparsemaxModel,
    ConvModel,
    RecurrentModel,
)

KINDS: Final[Mapping[str, type[LayerModel]]] = MappingProxyType({model.kind_name(): model for model in _MODELS})
"""The model of each kind, by its name in a document."""

ARRAYS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = MappingProxyType(
    {kind: {name: axes.names for name, axes in model.arrays()} for kind, model in KINDS.items()}
)
"""The names of the axes of each array of each kind."""

FILLS: Final[Mapping[str, Mapping[str, float]]] = MappingProxyType(
    {kind: {name: axes.fill for name, axes in model.arrays() if axes.fill is not None} for kind, model in KINDS.items()}
)
"""The number that fills an array that a layer leaves out."""


_WITH_OUTPUTS: Final = frozenset(
    model for model in _MODELS if any("outputs" in axes.names for _, axes in model.arrays())
)
"""The models that have an array with a number or row for each node."""

_OWN_FIELDS: Final[Mapping[type[LayerModel], tuple[str, ...]]] = {
    model: tuple(name for name in model.model_fields if name not in {*LayerModel.model_fields, "kind"})
    for model in _MODELS
}
"""The fields that other kinds do not have, of each model."""


def count_numbers(kind: str, given: Mapping[str, object], lengths: Mapping[str, int]) -> int:
    """Return how many numbers the arrays of a layer have, including those that are filled.

    Args:
        kind: A name in `KINDS`.
        given: The arrays that the layer has.
        lengths: The length of each axis, as far as it is known.
    """
    return sum(
        prod(lengths.get(axis, 0) for axis in axes)
        for name, axes in ARRAYS[kind].items()
        if name in given or name in FILLS[kind]
    )


def kind_of(layer: object) -> object:
    """Return the kind that a layer of a document names; `dense` where it names none or is no object."""
    return layer.get("kind", DENSE) if isinstance(layer, Mapping) else DENSE


def own_settings(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a layer that differ from their default, lists as lists."""
    declared = KINDS[kind].model_fields
    defaults = {key: field.default for key, field in declared.items() if isinstance(field.default, float | int | str)}
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in settings.items()
        if not (set(value) == {convolution.FILLS.get(key)} if isinstance(value, tuple) else defaults.get(key) == value)
    }


def _tag(layer: object) -> str:
    kind = layer.kind_name() if isinstance(layer, LayerModel) else kind_of(layer)
    return kind if isinstance(kind, str) else ""


if TYPE_CHECKING:
    LayerField: TypeAlias = LayerModel
else:
    LayerField = Annotated[
        Union[tuple(Annotated[model, Tag(kind)] for kind, model in KINDS.items())],  # noqa: UP007 - made of a table
        Discriminator(_tag),
        BeforeValidator(as_dict),
    ]
"""A layer of any kind in a document."""
