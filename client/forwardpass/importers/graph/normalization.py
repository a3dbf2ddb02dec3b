"""Normalizations of elements by what is computed of them; axes are not negative."""

from collections.abc import Sequence

from forwardpass.importers.graph.operations import LayerOperations
from forwardpass.importers.graph.reductions import reduce_axes
from forwardpass.importers.graph.tensor_ref import TensorRef


def rms_norm(graph: LayerOperations, x: TensorRef, axes: Sequence[int], epsilon: float) -> TensorRef:
    """Divide by the root of the mean square along axes (Zhang & Sennrich, 2019)."""
    x = graph.without_pending(x)
    mean = reduce_axes(graph, graph.function(x, "x * x"), axes, "mean", keepdims=True)
    return graph.elementwise(f"x / sqrt(y + {float(epsilon)!r})", x, mean)


def divide_by(graph: LayerOperations, x: TensorRef, size: TensorRef, least: float | None = None) -> TensorRef:
    """Divide by a size that is at least a number; without one, elements of the size 0 stay as they are."""
    divisor = "where(y == 0, 1, y)" if least is None else f"max(y, {float(least)!r})"
    return graph.elementwise(f"x / {divisor}", x, size)
