"""A node's attributes as Python values."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from forwardpass.importers.onnx.arrays import to_array
from forwardpass.importers.unsupported import UnsupportedError

_FORMS: Final[Mapping[int, tuple[str, Callable[[Any], Any]]]] = MappingProxyType(
    {
        1: ("f", float),
        2: ("i", int),
        3: ("s", bytes),
        4: ("t", to_array),
        6: ("floats", list),
        7: ("ints", list),
        8: ("strings", list),
    }
)
"""The field of each type of attribute, and the function that converts its value."""


def attributes_of(node: Any) -> dict[str, Any]:
    """Return the attributes of a `NodeProto` by name.

    Raises:
        UnsupportedError: An attribute has a type that no supported operator has.
    """
    found = {}
    for attribute in node.attribute:
        if attribute.type not in _FORMS:
            raise UnsupportedError(f"has the attribute {attribute.name!r}, which is a graph or a list of tensors")
        field, make = _FORMS[attribute.type]
        found[attribute.name] = make(getattr(attribute, field))
    return found
