"""Convolutions that multiply each token of a row by the same weights: dense layers over the last axis of a tensor.

Such a layer has its sums as filters x tokens, as every convolution. The product is faster as tokens x filters, and is
then often read as it is: a `take` turns it, or a matrix product reads it transposed.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.random import default_rng

from forwardpass_server.core.activations import OF_ALL_NODES
from forwardpass_server.core.arrays import Array, frozen
from forwardpass_server.core.convolution import geometry_of
from forwardpass_server.core.layers import Operation
from forwardpass_server.core.places import Indices


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TokenProduct:
    """The product of tokens with weights that they share.

    Attributes:
        tokens: The number of tokens.
        by_channel: Whether a row has the first value of all tokens first; else it has all values of the first token.
        weights: `(channels, filters)`: those of a layer transposed, or an array that `stack` returns, or columns of it.
        bias: `(filters,)`, or None where all are 0.
    """

    tokens: int
    by_channel: bool
    weights: Array
    bias: Array | None

    @property
    def channels(self) -> int:
        """The number of values of a token."""
        return len(self.weights)

    @property
    def filters(self) -> int:
        """The number of sums of a token."""
        return int(self.weights.shape[1])

    @property
    def order(self) -> Indices:
        """The index of each value of each token within what the layer reads, `(tokens, channels)`."""
        places = np.arange(self.tokens * self.channels)
        return places.reshape(self.channels, self.tokens).T if self.by_channel else places.reshape(self.tokens, -1)

    def multiply(self, tokens: Array, out: Array | None = None) -> Array:
        """Return the sums of tokens `(rows, tokens, channels)`, `(rows, tokens, filters)`, in `out` if there is one."""
        sums: Array = np.matmul(tokens, self.weights, out)
        if self.bias is not None:
            sums += self.bias
        return sums

    def operation(self, values: Array) -> Array:
        """Return the sums as the layer has them, `(rows, filters x tokens)`, of values `(rows, inputs)`."""
        if self.by_channel:
            tokens = np.ascontiguousarray(values.reshape(-1, self.channels, self.tokens).swapaxes(1, 2))
        else:
            tokens = values.reshape(-1, self.tokens, self.channels)
        return np.ascontiguousarray(self.multiply(tokens).swapaxes(1, 2)).reshape(-1, self.filters * self.tokens)


def token_product(layer: Operation) -> TokenProduct | None:
    """Return a layer as a product of tokens; None for another layer."""
    if layer.kind != "conv" or (layer.expression is None and layer.activation in OF_ALL_NODES):
        return None
    settings: dict[str, Any] = {**layer.arguments}
    weights, bias = settings.pop("weights"), settings.pop("bias")
    geometry = geometry_of(**settings)
    is_pointwise = geometry.is_pointwise and geometry.padded == geometry.sizes and geometry.group == 1
    if not (geometry.is_of_parts or is_pointwise):
        return None
    return TokenProduct(
        tokens=prod(geometry.grid),
        by_channel=not geometry.is_of_parts,
        weights=weights.T,
        bias=frozen(bias) if bias.any() else None,
    )


def stack(products: Sequence[TokenProduct]) -> TokenProduct:
    """Return the products of the same tokens as one."""
    first = products[0]
    biases = [one.bias for one in products if one.bias is not None]
    return replace(
        first,
        weights=frozen(np.concatenate([one.weights for one in products], axis=1)),
        bias=frozen(np.concatenate(biases)) if biases else None,
    )


def find_stacks(sources: Sequence[tuple[Operation, Hashable]]) -> dict[str, tuple[Operation, ...]]:
    """Return the layers that multiply the same tokens, with the same bits in one product, by the name of each.

    Args:
        sources: Layers, each with what it reads.
    """
    found: dict[Hashable, list[Operation]] = {}
    for layer, source in sources:
        product = token_product(layer)
        if product is not None and not product.by_channel and layer.is_plain and layer.merge is None:
            found.setdefault((source, product.tokens, product.channels, product.bias is None), []).append(layer)
    return {layer.name: tuple(layers) for layers in found.values() if _are_same(layers) for layer in layers}


def _are_same(layers: Sequence[Operation]) -> bool:
    """Try whether the sums of some layers have the same bits in one product."""
    products = [one for one in map(token_product, layers) if one is not None]
    dtype, first = products[0].weights.dtype, products[0]
    tokens = random_rows(dtype, 2, first.tokens, first.channels)
    ends = np.cumsum([one.filters for one in products])
    weights = random_rows(dtype, first.channels, int(ends[-1]))
    alone = [np.matmul(tokens, part) for part in np.split(weights, ends[:-1], axis=1)]
    return np.array_equal(np.matmul(tokens, weights), np.concatenate(alone, axis=2))


def random_rows(dtype: "np.dtype[Any]", *shape: int) -> Array:
    """Return random numbers of a shape to try a product with, the same ones every time."""
    return default_rng(seed=sum(shape)).standard_normal(shape).astype(dtype)
