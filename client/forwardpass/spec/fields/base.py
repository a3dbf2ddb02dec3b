"""The base of all models of a document, and how their checks report what is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias

from pydantic import BaseModel, ConfigDict
from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

from forwardpass.spec.limits import Limits

if TYPE_CHECKING:
    from forwardpass.spec.feature_kinds import FeatureOutline

Problem: TypeAlias = tuple[tuple[str | int, ...], str]
"""A place within a field, and what is wrong there."""

MAX_SHOWN: Final = 10
"""The most problems of one field that are reported one by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """Context of the check of a field: facts about the rest of the document.

    Attributes:
        dtype: The network's dtype; `float64` where the document's own is wrong.
        limits: The largest accepted sizes.
        features: The declarations of the features where at least one of them is typed; else empty.
    """

    dtype: str
    limits: Limits
    features: "Sequence[FeatureOutline]" = ()


class Model(BaseModel):
    """A strict and frozen model. `parsing` reports unknown keys, with the nearest known one."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="ignore", json_schema_extra={"additionalProperties": False}
    )


def as_dict(value: object) -> object:
    """Return a mapping of any class as the dict that a strict model takes."""
    return dict(value) if isinstance(value, Mapping) else value


def refuse(problems: Sequence[Problem], value: object = None) -> NoReturn:
    """Raise pydantic's error with one fault for each problem, ten at most.

    Raises:
        ValidationError: Always.
    """
    left = len(problems) - MAX_SHOWN
    shown = [*problems[:MAX_SHOWN], *([((), f"has {left} more faults of this kind")] if left > 0 else [])]
    details = [
        InitErrorDetails(type=PydanticCustomError("fault", "{fault}", {"fault": fault}), loc=place, input=value)
        for place, fault in shown
    ]
    raise ValidationError.from_exception_data("number", details)
