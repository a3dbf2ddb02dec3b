"""One step of a model: a transformer or an estimator."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeAlias

from forwardpass.errors import Fault
from forwardpass.importers.graph import GraphBuilder, TensorRef
from forwardpass.importers.input_constraints import InputConstraints
from forwardpass.importers.unsupported import UnsupportedError


class SubmodelReader(Protocol):
    """Reads the steps within a step, and collects every fault."""

    graph: GraphBuilder
    inputs: InputConstraints
    faults: list[Fault]

    def transform(self, model: Any, path: str, name: str, values: TensorRef) -> TensorRef:
        """Return the outputs of a transformer.

        Raises:
            UnsupportedError: It cannot be expressed.
        """
        ...

    def estimate(self, model: Any, path: str, values: TensorRef) -> TensorRef:
        """Return the outputs of an estimator.

        Raises:
            UnsupportedError: It cannot be expressed.
        """
        ...

    def decide(self, model: Any, path: str, values: TensorRef) -> TensorRef:
        """Return the scores of a classifier (`decision_function`), where it has them; else its probabilities.

        Raises:
            UnsupportedError: It cannot be expressed.
        """
        ...

    def invertible(self, model: Any, path: str) -> "PipelineStep":
        """Return a step that has an inverse.

        Raises:
            UnsupportedError: It has none.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class PipelineStep:
    """A transformer or estimator.

    Attributes:
        model: The object.
        kind: The name of its class.
        path: Its path in the whole model, for faults.
        name: The preferred name of its layers.
        reader: Reads the steps within it.
    """

    model: Any
    kind: str
    path: str
    name: str
    reader: SubmodelReader

    @property
    def graph(self) -> GraphBuilder:
        """The builder of the layers."""
        return self.reader.graph

    def reject(self, why: str) -> NoReturn:
        """Add a fault of this step, and stop reading it."""
        self.reader.faults.append(Fault(path=self.path, message=f"{self.kind} {why}"))
        raise UnsupportedError(why)

    def check_fitted(self, attribute: str = "n_features_in_") -> None:
        """Reject a step that lacks an attribute of fitted ones."""
        if not hasattr(self.model, attribute):
            self.reject("is not fitted; fit it first")


Transform: TypeAlias = Callable[[PipelineStep, TensorRef], TensorRef]
"""Adds the layers of a transformer or estimator, and returns its outputs, one-dimensional."""
