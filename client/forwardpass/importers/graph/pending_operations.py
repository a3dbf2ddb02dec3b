"""Operations whose functions of one element stay pending, so that several in a row become one activation."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from forwardpass.importers.graph.builder import PASS, Ref
from forwardpass.importers.graph.operations import LayerOperations
from forwardpass.importers.graph.pending_functions import (
    IDENTITY,
    MAX_PARTS,
    PendingFunction,
    X,
    as_number,
    literal,
    scaled,
    template,
)
from forwardpass.importers.graph.tensor_ref import TensorRef


class PendingOperations(LayerOperations):
    """Operations whose functions of one element stay pending until a layer reads their values."""

    def __init__(self) -> None:
        super().__init__()
        self._computed: dict[tuple[object, ...], str] = {}

    def function(self, x: TensorRef, expression: str, **parameters: float) -> TensorRef:
        """Compose an expression of each element and of parameters with the pending function."""
        words = {name: literal(number, "float64") for name, number in parameters.items()}
        return self.composed(x, lambda inner: template(expression, x=as_number(inner), **words))

    def composed(self, x: Ref, build: Callable[[PendingFunction], PendingFunction]) -> Ref:
        """Compose a function with the pending one, or apply it to a new layer where both together are too large.

        Args:
            x: The argument.
            build: Returns the function, given the pending one.
        """
        function = build(x.pending or IDENTITY)
        if function.parts > MAX_PARTS:
            x = self.materialize(x, self.hint)
            function = build(IDENTITY)
        return replace(x, pending=None if function.tree == X else function)

    def without_pending(self, tensor: Ref) -> Ref:
        """Return a tensor with nothing pending; all nodes of one layer are computed in their order there."""
        if tensor.pending is None:
            return tensor
        if not self.is_permutation(tensor):
            return self.materialize(tensor, self.hint)
        in_order = replace(tensor, index=np.arange(tensor.size))
        return replace(tensor, sources=self.materialize(in_order, self.hint).sources, pending=None)

    def materialize(self, tensor: Ref, hint: str) -> Ref:
        """Return a tensor as all nodes of one layer, with nothing pending; a layer is added if need be."""
        if tensor.pending is None:
            return super().materialize(tensor, tensor.name or hint)
        key = tensor.sources, tensor.columns.tobytes(), tensor.pending.tree
        if key not in self._computed:
            self._computed[key] = self._compute(tensor, tensor.pending, tensor.name or hint)
        index = np.arange(tensor.size).reshape(tensor.shape)
        return replace(tensor, sources=(self._computed[key],), index=index, pending=None)

    def _compute(self, tensor: TensorRef, pending: PendingFunction, hint: str) -> str:
        """Add the layer that computes a pending function."""
        plain = replace(tensor, pending=None)
        scaling = None if pending.activation else scaled(pending)
        if scaling is not None:
            scale, shift, activation = scaling
            given = {"scale": scale, "shift": shift}
            numbers = {key: np.full(tensor.size, value) for key, value in given.items() if value is not None}
            fields: dict[str, Any] = {**PASS, **numbers, "activation": activation}
            return self.add_layer(hint, plain, **fields).sources[0]
        plain = self._without_unread(plain)
        document: dict[str, Any] = dict(PASS)
        if not self.is_straight(plain):
            document = {"kind": "take", "indices": plain.columns.astype(np.int32)}
        document["activation"] = pending.document()
        return self._add(hint, plain.sources, "concatenate" if len(plain.sources) > 1 else "", plain.size, document)

    def _gather(self, tensor: Ref, hint: str, *, alone: bool) -> Ref:
        if tensor.pending is not None:
            return self.materialize(tensor, hint)
        return super()._gather(tensor, hint, alone=alone)
