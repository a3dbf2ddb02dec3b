"""What can go wrong only where a model is imported; these never travel over the wire."""

from forwardpass.errors import ForwardpassError, InvalidRequestError


class UnsupportedModelError(InvalidRequestError):
    """Something in the model cannot be expressed as a network; `faults` has each place and what could replace it."""


class ParityError(ForwardpassError):
    """The network does not compute what the model computes; `faults` has the numbers that differ most."""
