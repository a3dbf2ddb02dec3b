"""The parts of a document that say what goes in and what comes out, as pydantic models."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, Field, PlainValidator, ValidationInfo, WithJsonSchema

from forwardpass.spec.faults import found
from forwardpass.spec.features import NAN, REFUSE, FeatureKind, OutOfRange
from forwardpass.spec.fields import Context, Label, Number, Scale, Text, Unit
from forwardpass.spec.limits import DEFAULT_LIMITS
from forwardpass.spec.model import Model
from forwardpass.spec.names import category_fault
from forwardpass.spec.network import Feature, Output
from forwardpass.spec.numbers import Problem, number_fault, refuse

DEFAULT_THRESHOLD: Final = 0.5
"""The probability from which the second of two classes is chosen."""

_NUMBER: Final[dict[str, Any]] = {"type": "number"}
_CATEGORY: Final[dict[str, Any]] = {"type": "string", "minLength": 1, "maxLength": DEFAULT_LIMITS.max_name_length}
_PROBABILITY: Final[dict[str, Any]] = {**_NUMBER, "minimum": 0, "maximum": 1}


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


def _categories(value: object, info: "ValidationInfo[Context]") -> tuple[str, ...]:
    if not isinstance(value, list | tuple):
        refuse([((), f"is {found(value)}; must be a list of texts")])
    faults = (
        (index, category_fault(category, info.context.limits.max_name_length)) for index, category in enumerate(value)
    )
    problems: list[Problem] = [((index,), fault) for index, fault in faults if fault is not None]
    if problems:
        refuse(problems)
    return tuple(value)


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
        # In float64 whatever the network's dtype; it is rounded where it is compared.
        fault = number_fault(number, "float64")
        if fault is None and not 0 <= number <= 1:
            fault = f"is {found(number)}; must be from 0 to 1"
        if fault is not None:
            problems.append(((index,) if numbers is value else (), fault))
    if problems:
        refuse(problems)
    return tuple(float(number) + 0.0 for number in numbers)


Range: TypeAlias = Annotated[
    tuple[float | None, float | None],
    PlainValidator(_range),
    WithJsonSchema(
        {"type": "array", "items": {"anyOf": [_NUMBER, {"type": "null"}]}, "minItems": 2, "maxItems": 2},
    ),
]
Categories: TypeAlias = Annotated[
    tuple[str, ...],
    PlainValidator(_categories),
    WithJsonSchema({"type": "array", "items": _CATEGORY, "minItems": 1, "uniqueItems": True}),
]
FillValue: TypeAlias = Annotated[
    float | str,
    PlainValidator(_fill_value),
    WithJsonSchema({"anyOf": [_NUMBER, {"type": "boolean"}, {"type": "string", "minLength": 1}]}),
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
    """One output: its name, and what is known of it."""

    name: Label = Field(description="The output's name.")
    unit: Unit = Field("", description="The unit of measurement, for example EUR.")
    description: Text = Field("", description="What the output says about the world.")
    scale: Number = Field(1.0, description="Multiplies what the last layer computes.")
    shift: Number = Field(0.0, description="Added to it after that.")


FeatureField: TypeAlias = Annotated[
    FeatureModel, BeforeValidator(_named("a feature"), json_schema_input_type=Label | FeatureModel)
]
OutputField: TypeAlias = Annotated[
    OutputModel, BeforeValidator(_named("an output"), json_schema_input_type=Label | OutputModel)
]


def build_feature(part: FeatureModel) -> Feature:
    """Make a feature of what was checked."""
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
    """Return what is known of each output, or nothing where nothing is known of any."""
    facts = tuple(
        Output(unit=part.unit, description=part.description, scale=part.scale, shift=part.shift) for part in parts
    )
    return () if all(fact == Output() for fact in facts) else facts


def build_thresholds(given: Sequence[float], outputs: int) -> tuple[float, ...]:
    """Return a threshold for each output; none where it is the one that holds anyway."""
    if outputs == 1 and tuple(given) == (DEFAULT_THRESHOLD,):
        return ()
    return tuple(given) * outputs if len(given) == 1 else tuple(given)
