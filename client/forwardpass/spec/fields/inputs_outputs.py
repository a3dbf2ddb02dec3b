"""The fields of a document for what a network reads and returns: features, outputs, thresholds and examples."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, Field, PlainValidator, ValidationInfo, WithJsonSchema

from forwardpass.spec.faults import found
from forwardpass.spec.feature_kinds import NAN, REFUSE, FeatureKind, OutOfRange, example_row
from forwardpass.spec.fields.base import Context, Model, Problem, refuse
from forwardpass.spec.fields.numbers import example_inputs, number_fault, vector
from forwardpass.spec.fields.scalars import NUMBER, NUMBERS, Label, Number, Scale, Schema, Text, Tolerance, Unit, texts
from forwardpass.spec.limits import DEFAULT_LIMITS
from forwardpass.spec.names import category_fault
from forwardpass.spec.network import Feature, Output

DEFAULT_THRESHOLD: Final = 0.5
"""The probability from which the second of two classes is chosen."""

_CATEGORY: Final[Schema] = {"type": "string", "minLength": 1, "maxLength": DEFAULT_LIMITS.max_name_length}
_VALUE: Final[Schema] = {"type": ["number", "string", "boolean", "null"]}
_NAMED_ROW: Final[Schema] = {
    "anyOf": [
        {"type": "array", "items": _VALUE, "minItems": 1},
        {"type": "object", "additionalProperties": _VALUE},
        NUMBER,
    ]
}
_PROBABILITY: Final[Schema] = {**NUMBER, "minimum": 0, "maximum": 1}


def _range(value: object, info: "ValidationInfo[Context]") -> tuple[float | None, float | None]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        refuse([((), f"is {found(value)}; must be a list of two numbers, of which one may be null")])
    problems: list[Problem] = []
    ends: list[float | None] = []
    for place, end in enumerate(value):
        fault = None if end is None else number_fault(end, info.context.dtype)
        if fault is not None:
            problems.append(((place,), f"{fault}, or null for no end"))
        ends.append(None if end is None or fault else float(end) + 0.0)
    if ends == [None, None] and not problems:
        problems.append(((), "has no end that is a number; leave it out"))
    if problems:
        refuse(problems)
    return ends[0], ends[1]


def _fill_value(value: Any, info: "ValidationInfo[Context]") -> float | str:
    if isinstance(value, str):
        return value
    fault = None if isinstance(value, bool) else number_fault(value, info.context.dtype)
    if fault is not None:
        refuse([((), f'{fault}, "{REFUSE}" or "{NAN}"')])
    return float(value) + 0.0


def _threshold(value: Any) -> tuple[float, ...]:
    numbers = value if isinstance(value, list | tuple) else [value]
    if not numbers:
        refuse([((), "is an empty list; leave it out")])
    problems: list[Problem] = []
    for index, number in enumerate(numbers):
        # In float64 whatever the network's dtype; it is rounded when it is compared.
        fault = number_fault(number, "float64")
        if fault is None and not 0 <= number <= 1:
            fault = f"is {found(number)}; must be from 0 to 1"
        if fault is not None:
            problems.append(((index,) if numbers is value else (), fault))
    if problems:
        refuse(problems)
    return tuple(float(number) + 0.0 for number in numbers)


def _row(value: object, info: "ValidationInfo[Context]") -> tuple[float, ...]:
    # Checked in the network's dtype but kept in float64, as they are written.
    vector(value, info.context.dtype)
    return tuple((vector(value, "float64") + 0.0).tolist())


def _named_row(value: object, info: "ValidationInfo[Context]") -> tuple[float | None, ...] | dict[str, float | None]:
    value = example_inputs(value)
    if info.context.features and isinstance(value, Mapping | list | tuple):
        problems, read = example_row(value, info.context.features, info.context.dtype)
        if problems:
            refuse(problems)
        return {str(key): number for key, number in read.items()} if isinstance(value, Mapping) else (*read.values(),)
    if not isinstance(value, Mapping):
        return _row(value, info)
    faults = ((key, number_fault(number, info.context.dtype)) for key, number in value.items())
    problems = [((key if isinstance(key, str) else found(key),), fault) for key, fault in faults if fault is not None]
    if problems:
        refuse(problems)
    return {key: float(number) + 0.0 for key, number in value.items()}


Range: TypeAlias = Annotated[
    tuple[float | None, float | None],
    PlainValidator(_range),
    WithJsonSchema(
        {"type": "array", "items": {"anyOf": [NUMBER, {"type": "null"}]}, "minItems": 2, "maxItems": 2},
    ),
]
Categories: TypeAlias = Annotated[
    tuple[str, ...],
    texts(category_fault),
    WithJsonSchema({"type": "array", "items": _CATEGORY, "minItems": 1, "uniqueItems": True}),
]
FillValue: TypeAlias = Annotated[
    float | str,
    PlainValidator(_fill_value),
    WithJsonSchema({"anyOf": [NUMBER, {"type": "boolean"}, {"type": "string", "minLength": 1}]}),
]
Row: TypeAlias = Annotated[tuple[float, ...], PlainValidator(_row), WithJsonSchema(NUMBERS)]
NamedRow: TypeAlias = Annotated[
    tuple[float | None, ...] | dict[str, float | None], PlainValidator(_named_row), WithJsonSchema(_NAMED_ROW)
]
Threshold: TypeAlias = Annotated[
    tuple[float, ...],
    PlainValidator(_threshold),
    WithJsonSchema({"anyOf": [_PROBABILITY, {"type": "array", "items": _PROBABILITY, "minItems": 1}]}),
]


def _named(what: str) -> Callable[[object], object]:
    def read(value: object) -> object:
        if isinstance(value, str):
            return {"name": value}
        if not isinstance(value, Mapping):
            refuse([((), f"is {found(value)}; must be {what}'s name, or an object with its name")])
        return dict(value)

    return read


class FeatureModel(Model):
    """One named input."""

    name: Label = Field(description="The name by which rows give the feature.")
    kind: FeatureKind = Field("number", description="What its values are; a category is the index of a category.")
    mean: Number = Field(0.0, description="Subtracted from the input before the first layer.")
    scale: Scale = Field(1.0, description="Divides the input after the mean is subtracted; not 0.")
    unit: Unit = Field("", description="The unit of measurement, for example EUR.")
    description: Text = Field("", description="What the feature says about the world.")
    range: Range | None = Field(None, description="The smallest and the largest number in range; null for no end.")
    out_of_range: OutOfRange = Field("warn", description="What becomes of a number out of range.")
    categories: Categories = Field((), description="The categories of a category, all different.")
    missing: FillValue = Field(
        REFUSE, description="The fill value of a missing value: refuse, nan, a number, true, false or a category."
    )
    unknown: FillValue = Field(
        REFUSE, description="The fill value of a text that is no category: refuse, nan or a category."
    )


class OutputModel(Model):
    """One output: its name and its metadata."""

    name: Label = Field(description="The output's name.")
    unit: Unit = Field("", description="The unit of measurement, for example EUR.")
    description: Text = Field("", description="What the output says about the world.")
    scale: Number = Field(1.0, description="Multiplies what the last layer computes.")
    shift: Number = Field(0.0, description="Added to it after that.")


class ExampleModel(Model):
    """One row of inputs with the outputs that it must give."""

    inputs: NamedRow = Field(description="A number for each input, in a list or by feature name.")
    outputs: Row = Field(description="A number for each output.")
    tolerance: Tolerance | None = Field(None, description="The largest accepted absolute difference.")


FeatureField: TypeAlias = Annotated[
    FeatureModel, BeforeValidator(_named("a feature"), json_schema_input_type=Label | FeatureModel)
]
OutputField: TypeAlias = Annotated[
    OutputModel, BeforeValidator(_named("an output"), json_schema_input_type=Label | OutputModel)
]


def build_feature(part: FeatureModel) -> Feature:
    """Return the feature that a checked model describes."""
    low, high = part.range or (None, None)
    return Feature(
        name=part.name,
        mean=part.mean,
        scale=part.scale,
        unit=part.unit,
        description=part.description,
        kind=part.kind,
        low=low,
        high=high,
        out_of_range=part.out_of_range,
        categories=part.categories,
        missing=part.missing,
        unknown=str(part.unknown),
    )


def build_outputs(parts: Sequence[OutputModel]) -> tuple[Output, ...]:
    """Return the metadata of each output, or nothing where no output has any."""
    facts = tuple(
        Output(unit=part.unit, description=part.description, scale=part.scale, shift=part.shift) for part in parts
    )
    return () if all(fact == Output() for fact in facts) else facts


def build_thresholds(given: Sequence[float], outputs: int) -> tuple[float, ...]:
    """Return a threshold for each output, or nothing where the document gives the default."""
    if outputs == 1 and tuple(given) == (DEFAULT_THRESHOLD,):
        return ()
    return tuple(given) * outputs if len(given) == 1 else tuple(given)
