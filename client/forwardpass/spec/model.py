"""What all models of a document's parts share."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """What all parts share: strict and frozen. Unknown keys are told by `parsing`, with the nearest known."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="ignore", json_schema_extra={"additionalProperties": False}
    )


def as_dict(value: object) -> object:
    """Return a mapping of any class as the dict that a strict model takes."""
    return dict(value) if isinstance(value, Mapping) else value
