"""The whole document as a pydantic model; docs/reference/network.schema.json is generated from it.

Each field is checked by itself. The checks that concern several fields (widths, names that must differ, layers that
read others) work on the outline, so that no fault hides another.
"""

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from forwardpass.numerics import Numerics
from forwardpass.spec.faults import found
from forwardpass.spec.fields.base import Model, as_dict, refuse
from forwardpass.spec.fields.inputs_outputs import ExampleModel, FeatureField, OutputField, Threshold
from forwardpass.spec.fields.scalars import Identifier, Label, Labels, Names, Text
from forwardpass.spec.layers import LayerField

FORMAT: Final = "forwardpass.network/1"
"""The value of the key `format` in every document of this form."""


def _as_inputs(value: object) -> dict[str, object]:
    if isinstance(value, list | tuple):
        return {"features": list(value)}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"width": value}
    refuse([((), f"is {found(value)}; must be the number of inputs, or a list of features")])


def _as_list(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


_InputsForm: TypeAlias = Annotated[int, Field(ge=1)] | Annotated[list[FeatureField], Field(min_length=1)]


class InputsModel(Model):
    """The inputs of a network: a width, or features."""

    width: int = Field(1, ge=1)
    features: list[FeatureField] | None = Field(None, min_length=1)


class GroupModel(Model):
    """Adjacent inputs with a name by which layers read them."""

    name: Identifier = Field(description="Unique among groups and layers.")
    width: int = Field(ge=1, description="How many inputs it has.")


class NetworkModel(Model):
    """A feed-forward network: its inputs, its layers, and examples that prove it."""

    format: Literal["forwardpass.network/1"] = Field(description="Says what this document is.")
    dtype: Literal["float32", "float64"] = Field("float64", description="The arithmetic of the whole network.")
    inputs: Annotated[InputsModel, BeforeValidator(_as_inputs, json_schema_input_type=_InputsForm)] = Field(
        description="The number of inputs, or a feature for each."
    )
    input_groups: Annotated[list[Annotated[GroupModel, BeforeValidator(as_dict)]], BeforeValidator(_as_list)] = Field(
        [], description="In order and covering all inputs; for layers that read some of them."
    )
    layers: Annotated[list[LayerField], BeforeValidator(_as_list), Field(min_length=1)] = Field(
        description="Each after the layers it reads."
    )
    output_layers: Names | None = Field(
        None, description="The layers whose nodes, side by side, are the outputs; the last one when left out."
    )
    outputs: Annotated[list[OutputField], BeforeValidator(_as_list)] | None = Field(
        None,
        description="For each output its name, or an object with its name, unit, description, scale and shift; "
        "the nodes of the output layers when left out.",
    )
    classes: Labels = Field((), description="A label for each class: one for each output, or two for a single one.")
    threshold: Threshold | None = Field(
        None,
        description="The probability from which the second of two classes is chosen, 0.5 when left out; or for as many "
        "classes as outputs, one number for all or one for each, from which each is chosen by itself.",
    )
    description: Text = Field("", description="What the network is for.")
    metadata: Annotated[dict[Label, Text], BeforeValidator(as_dict)] = Field(
        {}, description="Facts of the owner's choice."
    )
    tags: Labels = Field((), description="Words to find the network by.")
    examples: Annotated[list[Annotated[ExampleModel, BeforeValidator(as_dict)]], BeforeValidator(_as_list)] = Field(
        [], description="Rows that are computed at registration and must hold."
    )
    allow_non_finite_inputs: bool = Field(False, description="Whether NaN and infinity are accepted in inputs.")
    numerics: Numerics | None = Field(
        None,
        description="exact: the same bits in every batch; fast: maybe not; the server's setting when left out.",
    )


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the JSON form, as published in docs/reference/network.schema.json."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **NetworkModel.model_json_schema()}
