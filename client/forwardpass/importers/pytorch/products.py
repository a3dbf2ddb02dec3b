"""Products of tensors, attention among them, and distances, which are made of them."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import (
    LayerOperations,
    TensorRef,
    attend,
    matmul_letters,
    multiply_all,
    reduce_axes,
)
from forwardpass.importers.pytorch.constants import array_of, of_rows
from forwardpass.importers.pytorch.elementwise import add, clamp, div, join, mul, sub
from forwardpass.importers.pytorch.reductions import norm, pool_axes
from forwardpass.importers.pytorch.reshaping import unsqueeze
from forwardpass.importers.pytorch.rows_axis import MIXES, arranged, whole
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.tensors import Array

_ATTENTION_OUT: Final = "is called with masks or keys that depend on the rows; leave them out, or mask what goes in"


def _labelled(graph: LayerOperations, operands: list[tuple[str, Any]], result: str) -> TensorRef:
    """Multiply labelled tensors and constants; the rows of all tensors have one letter, which the result has."""
    known = [(letters, whole(part)) for letters, part in operands if isinstance(part, TensorRef)]
    rows = {letters[part.rows] for letters, part in known}
    if len(rows) > 1 or not rows <= set(result):
        raise UnsupportedError(f"multiplies rows by other rows, or sums over them; a product {MIXES}")
    (row,) = rows
    before, after = {(part.before, part.after) for _, part in known}.pop()
    tensors = [(letters, part.tensor) for letters, part in known]
    fixed = [(letters, part) for letters, part in operands if not isinstance(part, TensorRef)]
    tensor = multiply_all(
        graph, [*tensors, *(_of_one_row(letters, array_of(part), row) for letters, part in fixed)], result
    )
    return arranged(tensor, tensor.index, result.index(row), before, after)


def _of_one_row(letters: str, array: Array, row: str) -> tuple[str, Array]:
    if row not in letters:
        return letters, array
    axis = letters.index(row)
    if array.shape[axis] != 1:
        raise UnsupportedError(
            "multiplies by a constant of several rows; export the module for any number of rows, by `dynamic_shapes`"
        )
    return letters.replace(row, ""), array.squeeze(axis)


def matmul(graph: LayerOperations, x: Any, y: Any) -> TensorRef:
    """Multiply matrices, of which the axes before the last two broadcast."""
    shapes = [whole(part).index.shape if isinstance(part, TensorRef) else array_of(part).shape for part in (x, y)]
    words, repeated, result = matmul_letters(*shapes)
    parts = zip((x, y), words, repeated, strict=True)
    return _labelled(graph, [_without_repeated(part, word, axes) for part, word, axes in parts], result)


def _without_repeated(part: Any, letters: str, axes: Sequence[int]) -> tuple[str, Any]:
    """Leave out the axes of length 1 that broadcast to a longer one, but for that of the rows."""
    if isinstance(part, TensorRef):
        known = whole(part)
        axes = [axis for axis in axes if axis != known.rows]
        part = known.without(axes, known.index.squeeze(tuple(axes)))
    else:
        part = array_of(part).squeeze(tuple(axes))
    return "".join(letter for axis, letter in enumerate(letters) if axis not in axes), part


def tensordot(graph: LayerOperations, x: Any, y: Any, dims: Any = 2, other_dims: Any = None) -> TensorRef:
    """Multiply tensors and sum over pairs of axes."""
    ranks = [whole(part).rank if isinstance(part, TensorRef) else array_of(part).ndim for part in (x, y)]
    if isinstance(dims, int):
        dims, other_dims = list(range(ranks[0] - dims, ranks[0])), list(range(dims))
    elif other_dims is None:
        dims, other_dims = dims
    letters = iter(_LETTERS)
    words = [[next(letters) for _ in range(rank)] for rank in ranks]
    for one, other in zip(dims, other_dims, strict=True):
        words[1][other] = words[0][one]
    summed = {words[0][axis] for axis in dims}
    result = [letter for letter in [*words[0], *words[1]] if letter not in summed]
    left, right, out = ("".join(word) for word in (*words, result))
    return einsum(graph, f"{left},{right}->{out}", x, y)


def einsum(graph: LayerOperations, equation: str, *given: Any, **_: Any) -> TensorRef:
    """Multiply tensors and sum over the axes that the result lacks."""
    parts = list(given[0]) if len(given) == 1 and isinstance(given[0], tuple | list) else list(given)
    text = equation.replace(" ", "")
    inputs, arrow, result = text.partition("->")
    words = inputs.split(",")
    ranks = [whole(part).rank if isinstance(part, TensorRef) else array_of(part).ndim for part in parts]
    free = [letter for letter in _LETTERS if letter not in text]
    own = [len(word.replace("...", "")) for word in words]
    dots = [rank - count if "..." in word else 0 for word, rank, count in zip(words, ranks, own, strict=True)]
    shared = "".join(free[: max(dots)])
    words = [word.replace("...", shared[len(shared) - count :]) for word, count in zip(words, dots, strict=True)]
    if arrow:
        result = result.replace("...", shared)
    else:
        every = "".join(words)
        result = shared + "".join(sorted(each for each in set(every) - set(shared) if every.count(each) == 1))
    return _labelled(graph, list(zip(words, parts, strict=True)), result)


_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def outer_linear(graph: LayerOperations, x: Any, weight: Any, bias: Any = None) -> TensorRef:
    """Compute `x @ weight.T + bias` of weights that are computed too."""
    product = matmul(graph, x, _turned(weight))
    return product if bias is None else join(graph, add, product, bias)


def _turned(weight: Any) -> Any:
    known = whole(weight)
    order = [*range(known.rank - 2), known.rank - 1, known.rank - 2]
    return known.arranged(known.index.transpose(order), order.index(known.rows))


def batched_sum(
    graph: LayerOperations, x: Any, one: Any, other: Any, *, beta: float = 1, alpha: float = 1
) -> TensorRef:
    """Compute `beta * x + alpha * one @ other`."""
    product = matmul(graph, one, other)
    scaled = product if alpha == 1 else join(graph, mul, product, alpha)
    if beta == 0:
        return scaled
    if not isinstance(x, TensorRef):
        return join(graph, add, scaled, array_of(x) * beta)
    return join(graph, add, scaled, x if beta == 1 else join(graph, mul, x, beta))


def bilinear(graph: LayerOperations, one: Any, other: Any, weight: Any, bias: Any = None) -> TensorRef:
    """Compute `one @ weight @ other` for each matrix of weights, plus bias."""
    product = einsum(graph, "...i,oij,...j->...o", one, weight, other)
    return product if bias is None else join(graph, add, product, bias)


def scaled_dot_product_attention(
    graph: LayerOperations,
    query: TensorRef,
    key: TensorRef,
    value: TensorRef,
    attn_mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> TensorRef:
    """Compute `softmax(query @ key.T * scale + mask) @ value`."""
    if (
        isinstance(attn_mask, TensorRef)
        or enable_gqa
        or not all(isinstance(each, TensorRef) for each in (query, key, value))
    ):
        raise UnsupportedError(_ATTENTION_OUT)
    known = list(map(whole, (query, key, value)))
    if len({(each.rows, each.before, each.after, each.index.shape[:-2]) for each in known}) > 1:
        raise UnsupportedError("attends to tensors of different shapes before the last two axes")
    first = known[0]
    if first.rows >= first.rank - 2:
        raise UnsupportedError(MIXES)
    leads = first.index.shape[:-2]
    heads = [each.tensor.reshape(-1, *each.index.shape[-2:]) for each in known]
    places, others = heads[0].shape[1], heads[1].shape[1]
    mask = _mask(attn_mask, (places, others), is_causal=is_causal)
    if mask is not None and mask.ndim > 2:
        mask = np.broadcast_to(mask, (*leads, places, others)).reshape(-1, places, others)
    result, _ = attend(graph, heads[0], heads[1], heads[2], scale=scale, mask=mask)
    return first.like(result.reshape(*leads, places, heads[2].shape[-1]))


def _mask(given: Any, shape: tuple[int, int], *, is_causal: bool) -> Array | None:
    """Return what is added to the scores; a mask of truth values holds where attention is allowed."""
    if given is None:
        return np.where(np.tri(*shape, dtype=bool), 0.0, -np.inf) if is_causal else None
    array = np.asarray(given.detach())
    return np.where(array, 0.0, -np.inf) if array.dtype == bool else array


def multi_head_attention(graph: LayerOperations, query: Any, key: Any, value: Any, **given: Any) -> tuple[Any, Any]:
    """Compute what `torch.nn.MultiheadAttention` does, without dropout.

    The weights of the projections are those of the module; a mask of truth values holds where attention is forbidden.
    """
    if any(given.get(name) is not None for name in ("key_padding_mask", "bias_k", "bias_v")) or given["add_zero_attn"]:
        raise UnsupportedError(_ATTENTION_OUT)
    known = list(map(whole, (query, key, value)))
    own = 0 if given["batch_first"] else 1
    if any(each.rank != 3 or each.rows != own for each in known):
        raise UnsupportedError("gets tensors that are not (rows, places, size); say batch_first=True")
    rows = [each.index.squeeze(own) for each in known]
    tensors = [TensorRef(sources=each.ref.sources, index=index) for each, index in zip(known, rows, strict=True)]
    size, heads = tensors[0].shape[-1], given["num_heads"]
    biases = [None] * 3 if given["in_proj_bias"] is None else np.split(array_of(given["in_proj_bias"]), 3)
    if given["in_proj_weight"] is not None:
        weights = np.split(array_of(given["in_proj_weight"]), 3)
    else:
        weights = [array_of(given[name]) for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight")]
    parts = []
    for tensor, weight, bias in zip(tensors, weights, biases, strict=True):
        projected = graph.dense(tensor, weight, bias)
        split = projected.reshape(-1, heads, size // heads)
        parts.append(split.with_index(split.index.swapaxes(0, 1)))
    mask = given.get("attn_mask")
    if isinstance(mask, TensorRef):
        raise UnsupportedError(_ATTENTION_OUT)
    if mask is not None and str(mask.dtype) == "torch.bool":
        mask = ~mask
    shape = parts[0].shape[1], parts[1].shape[1]
    found = _mask(mask, shape, is_causal=bool(given.get("is_causal")) and mask is None)
    mixed, attention = attend(graph, parts[0], parts[1], parts[2], mask=found)
    joined = mixed.with_index(mixed.index.swapaxes(0, 1)).reshape(-1, size)
    bias = given["out_proj_bias"]
    result = graph.dense(joined, array_of(given["out_proj_weight"]), None if bias is None else array_of(bias))
    shown = None
    if given.get("need_weights", True):
        mean = given.get("average_attn_weights", True)
        shown = reduce_axes(graph, attention, (0,), "mean") if mean else attention
    return arranged(result, np.expand_dims(result.index, own), own), shown


def normalize(
    graph: LayerOperations, x: TensorRef, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, **_: Any
) -> TensorRef:
    """Divide by the norm along an axis, which is at least epsilon."""
    size = norm(graph, x, p, dim, keepdim=True)
    return join(graph, div, x, join(graph, clamp, size, eps))


def cosine_similarity(graph: LayerOperations, one: Any, other: Any, dim: int = 1, eps: float = 1e-8) -> TensorRef:
    """Return the sum of products along an axis over the product of both norms."""
    one, other = _rows_of(graph, one, other), _rows_of(graph, other, one)
    units = [normalize(graph, part, 2.0, dim, eps) for part in (one, other)]
    product = join(graph, mul, *units)
    return pool_axes(graph, product, whole(product).axes(dim), "sum")


def pairwise_distance(
    graph: LayerOperations, one: Any, other: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> TensorRef:
    """Return the norm of `one - other + eps` along the last axis."""
    difference = join(graph, add, join(graph, sub, one, other), eps)
    return norm(graph, difference, p, whole(difference).rank - 1, keepdim=keepdim)


def cdist(graph: LayerOperations, one: Any, other: Any, p: float = 2.0, *_: Any, **__: Any) -> TensorRef:
    """Return the norm of the difference of each vector of one tensor and each of another."""
    left = unsqueeze(graph, one, -2) if isinstance(one, TensorRef) else array_of(one)[..., :, None, :]
    right = unsqueeze(graph, other, -3) if isinstance(other, TensorRef) else array_of(other)[..., None, :, :]
    return norm(graph, join(graph, sub, left, right), p, -1)


def _rows_of(graph: LayerOperations, part: Any, beside: Any) -> TensorRef:
    return part if isinstance(part, TensorRef) else graph.constants(beside, of_rows(part, beside))


PRODUCTS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        **dict.fromkeys(("matmul", "mm", "bmm", "dot", "mv"), matmul),
        "einsum": einsum,
        "tensordot": tensordot,
        "baddbmm": batched_sum,
        "bilinear": bilinear,
        "scaled_dot_product_attention": scaled_dot_product_attention,
        "multi_head_attention": multi_head_attention,
        "normalize": normalize,
        "cosine_similarity": cosine_similarity,
        "pairwise_distance": pairwise_distance,
        "cdist": cdist,
    }
)
"""The function for each operation, by its name in torch."""
