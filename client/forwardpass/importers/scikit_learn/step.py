"""One transformer or estimator of a model while it is read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeAlias

from forwardpass.errors import Fault
from forwardpass.importers.drafts import Draft, Values
from forwardpass.importers.notes import InputNotes


class Refused(Exception):  # noqa: N818 - it never leaves this package
    """Ends the reading of one step; its fault is noted."""


class Reader(Protocol):
    """Reads steps within a step, and notes every fault."""

    draft: Draft
    inputs: InputNotes
    faults: list[Fault]

    def transform(self, model: Any, path: str, name: str, values: Values) -> Values:
        """Return what a transformer makes of values.

        Raises:
            Refused: It cannot be expressed.
        """
        ...

    def estimate(self, model: Any, path: str, values: Values) -> Values:
        """Return what an estimator makes of values.

        Raises:
            Refused: It cannot be expressed.
        """
        ...

    def scaler(self, model: Any, path: str) -> "Step":
        """Return a step that can be undone.

        Raises:
            Refused: It is none.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A transformer or estimator.

    Attributes:
        model: The object.
        kind: Its class's name.
        path: Its place in the whole model.
        name: What its layers are called.
        reader: What reads the steps within it.
    """

    model: Any
    kind: str
    path: str
    name: str
    reader: Reader

    @property
    def draft(self) -> Draft:
        """The layers so far."""
        return self.reader.draft

    def refuse(self, why: str) -> NoReturn:
        """Note why this step cannot be read, and end its reading."""
        self.reader.faults.append(Fault(path=self.path, message=f"{self.kind} {why}"))
        raise Refused

    def check_fitted(self, attribute: str = "n_features_in_") -> None:
        """Refuse what is not fitted, which then lacks an attribute."""
        if not hasattr(self.model, attribute):
            self.refuse("is not fitted; fit it first")


Transform: TypeAlias = Callable[[Step, Values], Values]
"""Adds the layers of a transformer or estimator to the draft and returns what it makes of values, one-dimensional."""
