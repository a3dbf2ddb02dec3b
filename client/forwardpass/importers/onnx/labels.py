"""Names of tensors as names of a network's inputs and outputs, which are short and readable."""

import unicodedata
from typing import Final

from forwardpass.spec.limits import DEFAULT_LIMITS
from forwardpass.spec.names import label_fault

_LONGEST: Final = DEFAULT_LIMITS.max_name_length - 8
"""Leaves room for the place of an element."""


def label_of(name: str) -> str:
    """Return a label as like a tensor's name as can be: of a long name both ends, and `_` for what cannot be read."""
    label = unicodedata.normalize("NFC", name)
    label = "".join(sign if sign.isprintable() else "_" for sign in label).strip() or "_"
    if len(label) > _LONGEST:
        half = (_LONGEST - 3) // 2
        label = f"{label[:half].rstrip()}...{label[-half:].lstrip()}"
    return (
        label if label_fault(label, _LONGEST) is None else label.encode("ascii", "replace").decode().replace("?", "_")
    )
