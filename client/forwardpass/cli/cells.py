"""Cells of a table as what a network computes, by the kind of the feature whose column they are in."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from forwardpass.models import FeatureInfo
from forwardpass.spec.features import REFUSE, UNKNOWN, level_hint

Value: TypeAlias = float | str | bool | None
"""A number, a text, true or false, or nothing."""

PLAIN: Final = FeatureInfo(name="")
"""What a column is read as that is no feature's: numbers, all of which are needed."""

_TRUTHS: Final[Mapping[str, bool]] = {"true": True, "1": True, "1.0": True, "false": False, "0": False, "0.0": False}


def value_of(cell: object, feature: FeatureInfo) -> Value:
    """Read a cell, text of CSV or a value of Parquet, as a value of a feature; None where it is empty.

    Raises:
        ValueError: It is no such value, or empty where nothing stands in for it; the message says what is needed.
    """
    if cell is None or (isinstance(cell, str) and not cell.strip()):
        if feature.missing == REFUSE:
            raise ValueError(f"{_NEEDED[feature.kind]} is needed")
        return None
    try:
        return _KINDS[feature.kind](cell)
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{_NEEDED[feature.kind]} is needed") from None


def input_of(cell: object, feature: FeatureInfo, levels: Mapping[str, int]) -> float:
    """Read a cell as the number that stands in a network's inputs.

    A category is the index of its level, `UNKNOWN` where something stands in for other texts; what is missing is NaN.

    Args:
        cell: Text of CSV, or a value of Parquet.
        feature: What it is a value of.
        levels: The index of each of the feature's levels.

    Raises:
        ValueError: As `value_of` does; and where a text is no level, and nothing stands in for it.
    """
    value = value_of(cell, feature)
    if value is None:
        return math.nan
    if not isinstance(value, str):
        return float(value)
    if value not in levels and feature.unknown == REFUSE:
        raise ValueError(f"that is no level{level_hint(value, levels)}")
    return levels.get(value, UNKNOWN)


def input_readers(features: Sequence[FeatureInfo], width: int) -> list[Callable[[Any], float]]:
    """Return what reads each input of a network, whose inputs may have no names."""
    if all(feature.kind == "number" and feature.missing == REFUSE for feature in features):
        return [float] * width  # the usual network, by the shortest way
    return [_reader(feature) for feature in features]


def _reader(feature: FeatureInfo) -> Callable[[Any], float]:
    levels = {level: index for index, level in enumerate(feature.levels)}
    return lambda cell: input_of(cell, feature, levels)


def misfit(cell: object, column: str, feature: FeatureInfo) -> str:
    """Say what is the matter with a cell that cannot be read."""
    try:
        input_of(cell, feature, {level: index for index, level in enumerate(feature.levels)})
    except ValueError as error:
        empty = cell is None or (isinstance(cell, str) and not cell.strip())
        return f"has {'nothing' if empty else repr(cell)} in column {column!r}; {error}"
    return ""


def _text(cell: object) -> str:
    if not isinstance(cell, str):
        raise TypeError
    return cell


def _truth(cell: object) -> bool:
    return _TRUTHS[str(cell).strip().lower()]


_KINDS: Final[Mapping[str, Callable[[Any], Value]]] = {"number": float, "category": _text, "boolean": _truth}
_NEEDED: Final[Mapping[str, str]] = {"number": "a number", "category": "a text", "boolean": "true or false"}
