"""One transformer or estimator of a model while it is read."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeAlias

from forwardpass.errors import Fault
from forwardpass.importers.graph import GraphBuilder, TensorRef
from forwardpass.importers.input_constraints import InputConstraints
from forwardpass.importers.unsupported import UnsupportedError


class SubmodelReader(Protocol):
    """Reads steps within a step, and notes every fault."""

    graph: GraphBuilder
    inputs: InputConstraints
    faults: list[Fault]

    def transform(self, model: Any, path: str, name: str, values: TensorRef) -> TensorRef:
        """Return what a transformer makes of values.

        Raises:
            UnsupportedError: It cannot be expressed.
        """
        ...

    def estimate(self, model: Any, path: str, values: TensorRef) -> TensorRef:
        """Return what an estimator makes of values.

        Raises:
            UnsupportedError: It cannot be expressed.
        """
        ...

    def scaler(self, model: Any, path: str) -> "PipelineStep":
        """Return a step that can be undone.

        Raises:
            UnsupportedError: It is none.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineStep:
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
    reader: SubmodelReader

    @property
    def graph(self) -> GraphBuilder:
        """The layers so far."""
        return self.reader.graph

    def reject(self, why: str) -> NoReturn:
        """Note why this step cannot be read, and end its reading."""
        self.reader.faults.append(Fault(path=self.path, message=f"{self.kind} {why}"))
        raise UnsupportedError(why)

    def check_fitted(self, attribute: str = "n_features_in_") -> None:
        """Refuse what is not fitted, which then lacks an attribute."""
        if not hasattr(self.model, attribute):
            self.reject("is not fitted; fit it first")


Transform: TypeAlias = Callable[[PipelineStep, TensorRef], TensorRef]
"""Adds the layers of a transformer or estimator to the draft and returns what it makes of values, one-dimensional."""
