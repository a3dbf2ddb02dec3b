"""The paths of variables in a Keras file: the class name in snake case, numbered where several layers share it.

After `keras.src.saving.saving_lib` and `keras.src.utils.naming`.
"""

import re
from collections.abc import Mapping, MutableMapping
from types import MappingProxyType
from typing import Final

_CLASSES: Final[Mapping[str, str]] = MappingProxyType({"GroupQueryAttention": "GroupedQueryAttention"})
"""The class of each layer that Keras exports by another name."""


def variable_path(model: str, kind: str, counts: MutableMapping[str, int]) -> str:
    """Return a layer's path in the file.

    Args:
        model: The path of the model around the layer; empty for the outermost.
        kind: The layer's class.
        counts: The number of earlier layers by name; this layer is added.
    """
    name = snake_case(_CLASSES.get(kind, kind))
    number = counts.get(name, 0)
    counts[name] = number + 1
    return f"{model}{'/' if model else ''}layers/{name}{f'_{number}' if number else ''}"


def snake_case(name: str) -> str:
    """Return `p_re_lu` of `PReLU`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()
