"""The document's fields as pydantic models, in strict mode; docs/network.schema.json is made from them.

Each field is checked for itself here, and its faults are told in our own words. What concerns
several fields is judged on the outline.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)

from forwardpass.spec.activations import ACTIVATIONS, SYNONYMS, range_faults
from forwardpass.spec.faults import found, nearest, quoted
from forwardpass.spec.limits import Limits
from forwardpass.spec.names import identifier_fault, label_fault, text_fault
from forwardpass.spec.network import Activation
from forwardpass.spec.numbers import matrix, number_fault, refuse, vector
from forwardpass.tensors import Array

FORMAT: Final = "forwardpass.network/1"
"""What a document says of itself."""

_Schema: TypeAlias = dict[str, Any]
_NUMBER: Final[_Schema] = {"type": "number"}
_NUMBERS: Final[_Schema] = {"type": "array", "items": _NUMBER, "minItems": 1}
_TEXT: Final[_Schema] = {"type": "string"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """What fields are judged by besides themselves: the network's dtype, and the limits."""

    dtype: str
    limits: Limits


def _text(fault_of: Callable[[object, int], str | None], limit: str) -> Any:
    def check(value: object, info: ValidationInfo) -> object:
        fault = fault_of(value, getattr(info.context.limits, limit))
        if fault:
            refuse([((), fault)], value)
        return value

    return PlainValidator(check)


def _number(value: object, info: ValidationInfo) -> float:
    fault = number_fault(value, info.context.dtype)
    if fault:
        refuse([((), fault)], value)
    return float(value)  # type: ignore[arg-type] # a number, by the check


def _wide_number(value: object) -> float:
    fault = number_fault(value, "float64")
    if fault:
        refuse([((), fault)], value)
    return float(value)  # type: ignore[arg-type] # a number, by the check


def _scale(value: object, info: ValidationInfo) -> float:
    number = _number(value, info)
    if info.context.dtype == "float32" and abs(number) < 1e-45 or number == 0:
        refuse([((), f"is {found(value)}; must not be 0, since inputs are divided by it")], value)
    return number


def _tolerance(value: object) -> float | None:
    if value is None:
        return None
    number = _wide_number(value)
    if number < 0:
        refuse([((), f"is {found(value)}; must be 0 or greater")], value)
    return number


def _row(value: object) -> tuple[float, ...]:
    return tuple(vector(value, "float64").tolist())


def _example_inputs(value: object) -> object:
    if not isinstance(value, Mapping):
        return _row(value)
    problems = [((str(key),), fault) for key, item in value.items() if (fault := number_fault(item, "float64"))]
    if problems:
        refuse(problems, value)
    return {key: float(item) for key, item in value.items()}


def _activation(value: object, info: ValidationInfo) -> Activation:
    given: Mapping[Any, object] = value if isinstance(value, Mapping) else {"name": value}
    name = given.get("name")
    if not isinstance(name, str):
        said = f"is {found(name)}; must be the name of an activation" if "name" in given else "is missing"
        refuse([(("name",), said)], value)
    name = SYNONYMS.get(name, name)
    known = ACTIVATIONS.get(name)
    if known is None:
        near = nearest(name, [*ACTIVATIONS, *SYNONYMS])
        hint = f"; did you mean {quoted(near)}?" if near else "; docs/activations.md lists them all"
        refuse([(("name",), f"is {quoted(name)}, which is no activation{hint}")], value)
    problems: list[tuple[tuple[str | int, ...], str]] = []
    parameters = {key: parameter.default for key, parameter in known.items()}
    for key, item in given.items():
        if key == "name":
            continue
        if key not in known:
            word = key if isinstance(key, str) else found(key)
            near = nearest(word, known)
            has = f"; did you mean {quoted(near)}?" if near else f"; it has {', '.join(known) or 'no parameters'}"
            problems.append(((word,), f"{quoted(word)} is no parameter of {name}{has}"))
        elif fault := number_fault(item, info.context.dtype):
            problems.append(((key,), fault))
        else:
            parameters[key] = float(item)  # type: ignore[arg-type] # a number, by the check
    problems += [((key,), fault) for key, fault in range_faults(name, parameters).items()]
    if problems:
        refuse(problems, value)
    return Activation(name=name, parameters=parameters)


def _weights(value: object, info: ValidationInfo) -> Array:
    return matrix(value, info.context.dtype)


def _bias(value: object, info: ValidationInfo) -> Array | None:
    return None if value is None else vector(value, info.context.dtype)


def _as_feature(value: object) -> object:
    return {"name": value} if isinstance(value, str) else value


def _as_inputs(value: object) -> object:
    if isinstance(value, list | tuple):
        return {"features": list(value)}
    if isinstance(value, int) and not isinstance(value, bool):
        return {"width": value}
    refuse([((), f"is {found(value)}; must be the number of inputs, or a list of them by name")], value)


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else list(value) if isinstance(value, tuple) else value


Identifier = Annotated[str, _text(identifier_fault, "max_name_length"), WithJsonSchema(_TEXT)]
Label = Annotated[str, _text(label_fault, "max_name_length"), WithJsonSchema(_TEXT)]
Text = Annotated[str, _text(text_fault, "max_text_length"), WithJsonSchema(_TEXT)]
Number = Annotated[float, PlainValidator(_number), WithJsonSchema(_NUMBER)]
Scale = Annotated[float, PlainValidator(_scale), WithJsonSchema(_NUMBER)]
Tolerance = Annotated[
    float | None, PlainValidator(_tolerance), WithJsonSchema({"type": ["number", "null"], "minimum": 0})
]
Row = Annotated[tuple[float, ...], PlainValidator(_row), WithJsonSchema(_NUMBERS)]
ExampleInputs = Annotated[
    Any,
    PlainValidator(_example_inputs),
    WithJsonSchema({"anyOf": [_NUMBERS, {"type": "object", "additionalProperties": _NUMBER}]}),
]
ActivationField = Annotated[
    Any,
    PlainValidator(_activation),
    WithJsonSchema({
        "anyOf": [
            {"enum": [*ACTIVATIONS, *SYNONYMS]},
            {
                "type": "object",
                "properties": {"name": {"enum": [*ACTIVATIONS, *SYNONYMS]}},
                "required": ["name"],
                "additionalProperties": _NUMBER,
            },
        ]
    }),
]
Weights = Annotated[
    Any,
    PlainValidator(_weights),
    WithJsonSchema({
        "anyOf": [
            {"type": "array", "items": _NUMBERS, "minItems": 1},
            {"type": "object", "additionalProperties": _NUMBERS, "minProperties": 1},
        ]
    }),
]
Bias = Annotated[Any, PlainValidator(_bias), WithJsonSchema({"anyOf": [_NUMBERS, {"type": "null"}]})]


class _Model(BaseModel):
    # Unknown keys are told by `parsing`, with the nearest known ones.
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, json_schema_extra={"additionalProperties": False})


class FeatureModel(_Model):
    """One named input."""

    name: Label = Field(description="The name by which rows give the feature.")
    mean: Number = Field(0.0, description="Subtracted from the input before the first layer.")
    scale: Scale = Field(1.0, description="Divides the input after the mean is subtracted; not 0.")
    unit: Text = Field("", description="The unit of measurement.")
    description: Text = Field("", description="What the feature says about the world.")


class InputsModel(_Model):
    """What a network reads: a width, or features."""

    width: int = Field(1, ge=1)
    features: list[Annotated[FeatureModel, BeforeValidator(_as_feature)]] = Field([])


class LayerModel(_Model):
    """One dense layer: activation(weights x input + bias)."""

    name: Identifier | None = Field(None, description="Unique in the network; `layer_` and its index when left out.")
    weights: Weights = Field(description="A row of weights for each node, in a list or by node name.")
    bias: Bias = Field(None, description="A number for each node; zeros when left out.")
    activation: ActivationField = Field(
        Activation(name="identity", parameters={}), description="The function of the pre-activation."
    )
    nodes: list[Identifier] | None = Field(None, description="A name for each node.")
    from_: Annotated[
        list[str] | None,
        BeforeValidator(_as_list),
        WithJsonSchema({"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "minItems": 1}, {"type": "null"}]}),
    ] = Field(None, alias="from", description="The layers it reads; `inputs` stands for the network's inputs.")
    merge: Literal["sum", "concatenate", "multiply"] | None = Field(
        None, description="How the activations of several layers become one input."
    )


class ExampleModel(_Model):
    """A row of inputs with the outputs that it must give."""

    inputs: ExampleInputs = Field(description="A number for each input, in a list or by feature name.")
    outputs: Row = Field(description="A number for each output.")
    tolerance: Tolerance = Field(None, description="The largest accepted absolute difference.")


class NetworkModel(_Model):
    """A feed-forward network: what it reads, its layers, and examples that prove it."""

    format: Literal["forwardpass.network/1"] = Field(description="Says what this document is.")
    dtype: Literal["float32", "float64"] = Field("float64", description="The arithmetic of the whole network.")
    inputs: Annotated[
        InputsModel,
        BeforeValidator(_as_inputs),
        WithJsonSchema({
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "array", "items": {"anyOf": [_TEXT, {"$ref": "#/$defs/FeatureModel"}]}, "minItems": 1},
            ]
        }),
    ] = Field(description="The number of inputs, or one feature for each.")
    layers: list[LayerModel] = Field(
        min_length=1, description="Each after the layers it reads; the last one is the output."
    )
    outputs: list[Label] | None = Field(None, description="A name for each output; by default the last layer's nodes.")
    classes: list[Label] = Field([], description="For a classifier, a label for each class.")
    description: Text = Field("", description="What the network is for.")
    metadata: dict[Label, Text] = Field({}, description="Facts of the owner's choice.")
    tags: list[Label] = Field([], description="Words to find the network by.")
    examples: list[ExampleModel] = Field([], description="Rows that are computed at registration and must hold.")
    allow_non_finite_inputs: bool = Field(False, description="Whether NaN and infinity are accepted in inputs.")


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a document, draft 2020-12."""
    schema = NetworkModel.model_json_schema()
    feature = FeatureModel.model_json_schema()
    schema["$defs"]["FeatureModel"] = feature
    schema["$defs"].pop("InputsModel", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}
