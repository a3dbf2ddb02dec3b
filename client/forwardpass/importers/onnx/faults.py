"""The faults of one graph."""

from typing import Final

from forwardpass.errors import Fault
from forwardpass.importers.unsupported import unsupported_parts

_MAX_FAULTS: Final = 10


class Faults:
    """The faults of a graph so far, each with its place; they are raised together."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, path: str, message: str) -> None:
        """Add a fault; raise all where they are many.

        Raises:
            UnsupportedModelError: They are.
        """
        self._faults.append(Fault(path=path, message=message))
        if len(self._faults) >= _MAX_FAULTS:
            self.check()

    def check(self) -> None:
        """Raise the faults, if there are any.

        Raises:
            UnsupportedModelError: There are.
        """
        if self._faults:
            raise unsupported_parts(self._faults)
