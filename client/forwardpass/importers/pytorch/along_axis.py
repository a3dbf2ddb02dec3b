"""The product of a matrix of constants with the elements along an axis, wherever the rows are."""

import numpy as np

from forwardpass.importers.graph import LayerOperations, TensorRef
from forwardpass.importers.pytorch.rows_axis import whole
from forwardpass.tensors import Array


def multiply_along(graph: LayerOperations, x: TensorRef, axis: int, weights: Array) -> TensorRef:
    """Return for each output, `(outputs, elements)` weights, a weighted sum of the elements along an axis.

    Args:
        graph: The builder.
        x: The tensor.
        axis: The axis, counted with that of the rows.
        weights: The weights of each element for each output.
    """
    known = whole(x)
    last = known.tensor.with_index(np.moveaxis(known.index, axis, -1))
    done = graph.dense(last, weights.astype(graph.dtype), None)
    return known.like(done.with_index(np.moveaxis(done.index, -1, axis)))
