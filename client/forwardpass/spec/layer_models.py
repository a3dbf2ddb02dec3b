"""The kinds of layers as pydantic models, each with its formula.

A layer computes its pre-activation of what it reads, x, and then the activation function of that.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Discriminator, Field, Tag

from forwardpass.spec.fields import Function, Identifier, Identifiers, Matrix, Number, Sources, Vector
from forwardpass.spec.kinds import DENSE
from forwardpass.spec.layer_fields import (
    Ascending,
    Different,
    Epsilon,
    Indices,
    Mask,
    Rate,
    Table,
    Variance,
    Windows,
)
from forwardpass.spec.model import Model, as_dict
from forwardpass.spec.network import Activation

_EPSILON: Final = 1e-5


class LayerModel(Model):
    """What all layers have."""

    name: Identifier | None = Field(None, description="Unique; layer_ and the layer's index when left out.")
    activation: Function = Field(
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
        description="The layers or input groups it reads, inputs standing for all inputs; "
        "the layer before when left out.",
    )
    merge: Literal["sum", "concatenate", "multiply", "mean", "max"] | None = Field(
        None, description="How the activations of several layers become one input."
    )


class DenseModel(LayerModel):
    """Weights times x, plus bias."""

    kind: Literal["dense"] = "dense"
    weights: Matrix = Field(description="A row of weights for each node, in a list or by node name.")
    bias: Vector | None = Field(None, description="A number for each node; zeros when left out.")
    mask: Mask | None = Field(None, description="For each weight 1 where it counts, 0 where it is as if it were 0.")


class ScaleShiftModel(LayerModel):
    """x * scale + shift, value by value."""

    kind: Literal["scale_shift"]
    scale: Vector | None = Field(None, description="A factor for each value; ones when left out.")
    shift: Vector | None = Field(None, description="Added to each value then; zeros when left out.")


class BatchNormModel(LayerModel):
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta with what training found (Ioffe & Szegedy, 2015)."""

    kind: Literal["batch_norm"]
    mean: Vector = Field(description="The moving mean of each value.")
    variance: Variance = Field(description="The moving variance of each value, 0 or greater.")
    gamma: Vector | None = Field(None, description="A factor for each value; ones when left out.")
    beta: Vector | None = Field(None, description="Added to each value; zeros when left out.")
    epsilon: Epsilon = Field(_EPSILON, description="Added to the variance; greater than 0.")


class LayerNormModel(LayerModel):
    """gamma * (x - m) / sqrt(v + epsilon) + beta, m and v the row's own mean and variance (Ba et al., 2016)."""

    kind: Literal["layer_norm"]
    gamma: Vector | None = Field(None, description="A factor for each value; ones when left out.")
    beta: Vector | None = Field(None, description="Added to each value; zeros when left out.")
    epsilon: Epsilon = Field(_EPSILON, description="Added to the variance; greater than 0.")


class EmbeddingModel(LayerModel):
    """For each x the row of the table with that index (Bengio et al., 2003); NaN where there is no such row."""

    kind: Literal["embedding"]
    table: Table = Field(description="A row of numbers for each category, from category 0 on.")


class OneHotModel(LayerModel):
    """For each node 1 where the x of its index equals its category, else 0."""

    kind: Literal["one_hot"]
    categories: Vector = Field(description="A number for each node.")
    indices: Indices | None = Field(
        None, description="Which x each node looks at, from 0; may be left out where the layer reads one value."
    )


class BucketizeModel(LayerModel):
    """For each x how many boundaries are less than or equal to it; NaN stays NaN."""

    kind: Literal["bucketize"]
    boundaries: Ascending = Field(description="In ascending order.")


class LookupModel(LayerModel):
    """For each x the value beside the key that equals it, else the default."""

    kind: Literal["lookup"]
    keys: Different = Field(description="Numbers to look up, all different.")
    values: Vector = Field(description="A number for each key.")
    default: Number | None = Field(None, description="Where no key equals x; NaN when left out.")


class ClipModel(LayerModel):
    """x, but at least low and at most high, value by value."""

    kind: Literal["clip"]
    low: Vector | None = Field(None, description="The least of each value; none when left out.")
    high: Vector | None = Field(None, description="The greatest of each value, not less than low; none when left out.")


class ImputeModel(LayerModel):
    """x, or where it is missing the number in its place."""

    kind: Literal["impute"]
    values: Vector = Field(description="The number that replaces each value where it is missing.")
    missing: Number | None = Field(None, description="The number that says missing; NaN when left out.")


class DropoutModel(LayerModel):
    """x as it is: dropout happens in training only (Srivastava et al., 2014)."""

    kind: Literal["dropout"]
    rate: Rate = Field(0.0, description="The share that training left out; of no effect here.")


class TakeModel(LayerModel):
    """The x of each index, in order: selections, slices, permutations."""

    kind: Literal["take"]
    indices: Indices = Field(description="Which x each node is, from 0.")


class PoolModel(LayerModel):
    """For each node the largest, mean, sum or smallest of the x in its window."""

    kind: Literal["pool"]
    windows: Windows = Field(description="For each node the indices of its x, from 0; equally many for all.")
    reduce: Literal["max", "mean", "sum", "min"] = Field(description="What becomes of a window.")


LAYERS: Final[Mapping[str, type[LayerModel]]] = MappingProxyType(
    {
        DENSE: DenseModel,
        "scale_shift": ScaleShiftModel,
        "batch_norm": BatchNormModel,
        "layer_norm": LayerNormModel,
        "embedding": EmbeddingModel,
        "one_hot": OneHotModel,
        "bucketize": BucketizeModel,
        "lookup": LookupModel,
        "clip": ClipModel,
        "impute": ImputeModel,
        "dropout": DropoutModel,
        "take": TakeModel,
        "pool": PoolModel,
    }
)
"""The model of each kind."""


def kind_of(layer: object) -> object:
    """Return what a layer says it is; `dense` where it says nothing or is no object."""
    return layer.get("kind", DENSE) if isinstance(layer, Mapping) else DENSE


def _tag(layer: object) -> str:
    kind = kind_of(layer) if not isinstance(layer, LayerModel) else layer.kind  # type: ignore[attr-defined] # all have
    return kind if isinstance(kind, str) else ""


LayerField: TypeAlias = Annotated[
    Annotated[DenseModel, Tag(DENSE)]
    | Annotated[ScaleShiftModel, Tag("scale_shift")]
    | Annotated[BatchNormModel, Tag("batch_norm")]
    | Annotated[LayerNormModel, Tag("layer_norm")]
    | Annotated[EmbeddingModel, Tag("embedding")]
    | Annotated[OneHotModel, Tag("one_hot")]
    | Annotated[BucketizeModel, Tag("bucketize")]
    | Annotated[LookupModel, Tag("lookup")]
    | Annotated[ClipModel, Tag("clip")]
    | Annotated[ImputeModel, Tag("impute")]
    | Annotated[DropoutModel, Tag("dropout")]
    | Annotated[TakeModel, Tag("take")]
    | Annotated[PoolModel, Tag("pool")],
    Discriminator(_tag),
    BeforeValidator(as_dict),
]
"""A layer of any kind."""


def settings_of(model: LayerModel) -> dict[str, float | str]:
    """Return what a layer's kind says besides arrays: numbers and words, those left out but for defaults."""
    own: dict[str, Any] = {name: getattr(model, name) for name in type(model).model_fields if name not in _COMMON}
    return {name: value for name, value in own.items() if isinstance(value, float | str)}


def defaults_of(kind: str) -> dict[str, object]:
    """Return the default of every number and word of a kind that has one."""
    fields = LAYERS[kind].model_fields
    return {name: field.default for name, field in fields.items() if isinstance(field.default, float | str)}


_COMMON: Final = frozenset({*LayerModel.model_fields, "kind"})
