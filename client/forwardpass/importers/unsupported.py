"""Errors for models that cannot become networks.

`UnsupportedError` is about one part of a model and never leaves the importers: a front end catches it, adds the path of
the part, and goes on, so that a caller learns all faults of a model at once. `UnsupportedModelError` is about the whole
model and has a fault for each part.
"""

from collections.abc import Sequence

from forwardpass.errors import Fault, InvalidRequestError


class UnsupportedModelError(InvalidRequestError):
    """Something in the model cannot be expressed as a network; `faults` has each place and what to use instead."""


class UnsupportedError(Exception):
    """One part of a model cannot be expressed; the message is the rest of a sentence about that part."""


def unsupported_model(path: str, message: str, *, kind: str = "model") -> UnsupportedModelError:
    """Return the error for a model with one fault.

    Args:
        path: The place of the part.
        message: The reason, as the rest of a sentence about the part.
        kind: The framework's word for a model.
    """
    return unsupported_parts([Fault(path=path, message=message)], kind=kind)


def unsupported_parts(faults: Sequence[Fault], *, kind: str = "model") -> UnsupportedModelError:
    """Return the error for a model with one or more faults.

    Args:
        faults: The faults.
        kind: The framework's word for a model.
    """
    reason = str(faults[0]) if len(faults) == 1 else f"{len(faults)} of its parts cannot be expressed"
    return UnsupportedModelError(f"the {kind} cannot become a network: {reason}", faults=faults)
