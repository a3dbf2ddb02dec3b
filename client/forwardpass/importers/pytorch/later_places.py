"""Places of elements beside the elements themselves, as `torch.max` returns both; found where something reads them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from forwardpass.importers.unsupported import UnsupportedError


@dataclass(frozen=True, kw_only=True, slots=True)
class LaterPlaces:
    """The places of elements, which need layers of their own.

    Attributes:
        find: Adds the layers and returns the places.
    """

    find: Callable[[], Any]


def part_of(values: Any, key: Any) -> Any:
    """Return a part of what an operation returned; places are found now."""
    part = values[key]
    return part.find() if isinstance(part, LaterPlaces) else part


def reject_places() -> Any:
    """Reject the places of elements that are sorted, pooled or chosen by size."""
    raise UnsupportedError("returns places, which are not computed; those of one largest or smallest are, by `argmax`")
