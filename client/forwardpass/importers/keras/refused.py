"""Why a part of a model cannot be read."""

from forwardpass.errors import Fault
from forwardpass.importers.errors import UnsupportedModelError


class Refused(Exception):  # noqa: N818 - it never leaves this package
    """Ends the reading of one layer; says why."""


def refusal(path: str, message: str) -> UnsupportedModelError:
    """Return the error for a model of which one thing is wrong."""
    fault = Fault(path=path, message=message)
    return UnsupportedModelError(f"the model cannot become a network: {fault}", faults=[fault])
