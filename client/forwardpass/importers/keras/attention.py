"""Attention layers: of several heads, by products, and additive (Bahdanau et al., 2015)."""

from collections.abc import Mapping
from functools import reduce
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import TensorRef, attend, multiply_all, reduce_axes
from forwardpass.importers.graph.products import MASKED
from forwardpass.importers.keras.arithmetic import operand
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.tensors import Array

_SCORES: Final = "return_attention_scores"
_LEFT: Final = "where(y != 0, x, 0)"
_FAR: Final = "1000000000"
"""What `Attention` subtracts from the score of a masked place."""


def _multi_head(call: LayerCall) -> TensorRef | list[TensorRef]:
    """Attend in several heads, whose keys and values may be shared by groups of queries."""
    grouped = call.kind != "MultiHeadAttention"
    call.require("use_gate", False, "multiplies by a gate, which is not supported; build it without")
    axes = call.config.get("attention_axes")
    if axes not in (None, [1]):
        raise UnsupportedError(f"attends along attention_axes={axes!r}; [1] is read")
    query, value, key = _queries([*call.arguments, *_named(call, ("value", "key"))])
    heads = []
    for name, x in (("query", query), ("key", key), ("value", value)):
        heads.append(_projected(call, f"{name}_dense", ("ti", x), "ihc", "htc"))
    if grouped:
        times = heads[0].shape[0] // heads[1].shape[0]
        heads[1:] = [each.take(np.repeat(np.arange(each.shape[0]), times)) for each in heads[1:]]
    mask = _mask(call, query, value, call.config.get("sliding_window"))
    # Keras computes dropout and scores by its layer Softmax, which makes 0 of what is masked, even where all is.
    alone = call.number("dropout", 0.0) > 0 or call.options.get(_SCORES) is True
    mixed, scores = _attended(call, heads, None, mask, left=_LEFT if alone else "")
    done = _projected(call, "output_dense", ("htc", mixed), "hco", "to")
    return [done, scores] if call.options.get(_SCORES) is True else done


def _named(call: LayerCall, names: tuple[str, ...]) -> list[TensorRef]:
    return [call.options[name] for name in names if isinstance(call.options.get(name), TensorRef)]


def _queries(given: list[Any]) -> tuple[TensorRef, TensorRef, TensorRef]:
    """Return queries, values and keys, each `(places, size)`; keys are the values where they are left out."""
    if not 2 <= len(given) <= 3 or not all(isinstance(x, TensorRef) and len(x.shape) == 2 for x in given):
        raise UnsupportedError("is given other things than two or three tensors of places and their numbers")
    query, value, *key = given
    return query, value, key[0] if key else value


def _projected(call: LayerCall, name: str, given: tuple[str, TensorRef], letters: str, result: str) -> TensorRef:
    """Multiply by the kernel of a part, and add its bias."""
    kernel, *bias = _variables(call, name)
    if kernel.ndim != len(letters):
        raise UnsupportedError(f"has a kernel of shape {list(kernel.shape)}; {len(letters)} axes are needed")
    with call.graph.suffixed(name.removesuffix("_dense")):
        done = multiply_all(call.graph, [given, (letters, kernel)], result)
        if bias:
            axes = [letter for letter in letters if letter not in given[0]]
            shape = [done.shape[place] if letter in axes else 1 for place, letter in enumerate(result)]
            done = call.graph.scale_shift(done, None, bias[0].reshape(shape))
    return done


def _variables(call: LayerCall, name: str) -> list[Array]:
    """Return the variables of a part, which some versions of Keras save with an underscore before its name."""
    try:
        return call.variables(name)
    except UnsupportedError:
        return call.variables(f"_{name}")


def _mask(call: LayerCall, query: TensorRef, value: TensorRef, window: object = None) -> TensorRef | Array | None:
    """Return what a query may attend to, `(queries, places)`: 1 for a place, else 0."""
    shape = query.shape[0], value.shape[0]
    places = np.arange(shape[0])[:, None] - np.arange(shape[1])
    fixed: Array | None = None
    if call.options.get("use_causal_mask") is True:
        fixed = (places >= 0).astype(np.float64)
    if isinstance(window, int):
        near = (np.abs(places) < window).astype(np.float64)
        fixed = near if fixed is None else fixed * near
    elif window is not None:
        raise UnsupportedError(f"has sliding_window={window!r}, where an integer is needed")
    computed: list[TensorRef] = []
    given = call.options.get("attention_mask")
    if isinstance(given, TensorRef):
        computed.append(given)
    elif given is not None:
        known = np.asarray(operand(given, 2)) != 0
        fixed = known.astype(np.float64) if fixed is None else fixed * known
    if call.kind in _ALONE:
        of_places = call.masks[1:2]
    else:
        of_places = call.masks[1:3]
        computed.extend(mask().reshape(-1, 1) for mask in call.masks[:1] if mask is not None)
    computed.extend(mask().reshape(1, -1) for mask in of_places if mask is not None)
    if not computed:
        return fixed
    whole = reduce(lambda one, other: call.graph.elementwise("where(x != 0 and y != 0, 1, 0)", one, other), computed)
    return whole if fixed is None else call.graph.scale_shift(whole, fixed, None)


def _attended(
    call: LayerCall, heads: list[TensorRef], scale: float | None, mask: TensorRef | Array | None, *, left: str = ""
) -> tuple[TensorRef, TensorRef]:
    """Return what `(heads, queries, size)` find in `(heads, places, size)`, and the scores."""
    query, key, value = heads
    if not isinstance(mask, TensorRef):
        added = (
            None if mask is None else np.where(np.broadcast_to(mask, (query.shape[1], key.shape[1])) != 0, 0, -np.inf)
        )
        return attend(call.graph, query, key, value, scale=scale, mask=added)
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    scores = multiply_all(call.graph, [("hqd", query), ("hkd", key)], "hqk")
    scores = call.graph.scale_shift(scores, np.array(factor), None)
    return _mixed(call, scores, value, mask, left=left)


def _mixed(
    call: LayerCall, scores: TensorRef, value: TensorRef, mask: TensorRef | None, *, left: str = ""
) -> tuple[TensorRef, TensorRef]:
    """Return the sums of values by the softmax of the scores, without masked places, and the softmax."""
    if mask is not None:
        masked = f"x - {_FAR}" if call.kind in _ALONE else f"(-{-MASKED!r})"
        scores = call.graph.elementwise(f"where(y != 0, x, {masked})", scores, mask)
    weights = call.graph.softmax(scores, 2, "softmax")
    if mask is not None and left:
        weights = call.graph.elementwise(left, weights, mask)
    return multiply_all(call.graph, [("hqk", weights), ("hkv", value)], "hqv"), weights


def _attention(call: LayerCall) -> TensorRef | list[TensorRef]:
    """Attend in one head, without projections."""
    query, value, key = _queries(call.inputs)
    mask = _mask(call, query, value)
    heads = [x.reshape(1, *x.shape) for x in (query, key, value)]
    variables = call.variables() if call.boolean("use_scale", False) or _is_additive(call) else []
    if _is_additive(call):
        scores = _additive(call, heads[0], heads[1], variables)
        if mask is not None and not isinstance(mask, TensorRef):
            scores = call.graph.scale_shift(scores, None, np.where(mask != 0, 0.0, -float(_FAR)))
            mask = None
        mixed, weights = _mixed(call, scores, heads[2], mask)
    else:
        mixed, weights = _attended(call, heads, float(variables[0]) if variables else 1.0, mask)
    mixed = mixed.reshape(*mixed.shape[1:])
    if call.masks and call.masks[0] is not None:
        mixed = call.graph.elementwise(_LEFT, mixed, call.masks[0]().reshape(-1, 1))
    return [mixed, weights.reshape(*weights.shape[1:])] if call.options.get(_SCORES) is True else mixed


def _is_additive(call: LayerCall) -> bool:
    mode = call.text("score_mode", "dot")
    if mode not in {"dot", "concat"}:
        raise UnsupportedError(f"has score_mode={mode!r}; dot and concat are read")
    return call.kind == "AdditiveAttention" or mode == "concat"


def _additive(call: LayerCall, query: TensorRef, key: TensorRef, variables: list[Array]) -> TensorRef:
    """Sum `tanh(query + key)` over the numbers of a place, each times a factor."""
    call.graph.check_size(query.size * key.shape[1])
    sums = call.graph.merge([query.reshape(query.shape[1], 1, -1), key.reshape(1, key.shape[1], -1)], "sum")
    if call.kind == "AdditiveAttention":
        inner, outer = np.array(1.0), variables[0] if variables else np.array(1.0)
    else:
        *scale, outer = variables
        inner = scale[0] if scale else np.array(1.0)
    if (inner != 1).any():
        sums = call.graph.scale_shift(sums, inner, None)
    done = call.graph.activation(sums, "tanh")
    if (outer != 1).any():
        done = call.graph.scale_shift(done, outer, None)
    return reduce_axes(call.graph, done, [2], "sum").reshape(1, *sums.shape[:2])


def _of_operands(call: LayerCall) -> TensorRef:
    """Attend in the heads of `(places, heads, size)`."""
    call.require("attn_logits_soft_cap", None, "bounds the scores, which is not supported")
    if any(call.options.get(key) is not None for key in ("bias", "mask")):
        raise UnsupportedError("is called with a bias or a mask, which is not supported; add it to the scores")
    query, key, value = call.inputs
    if not all(len(x.shape) == 3 for x in (query, key, value)):
        raise UnsupportedError("is given tensors of other axes than places, heads and their numbers")
    times = query.shape[1] // key.shape[1]
    heads = [x.with_index(x.index.swapaxes(0, 1)) for x in (query, key, value)]
    heads[1:] = [each.take(np.repeat(np.arange(each.shape[0]), times)) for each in heads[1:]]
    mask = None
    if call.boolean("is_causal", False):
        mask = (np.arange(query.shape[0])[:, None] >= np.arange(key.shape[0])).astype(np.float64)
    scale = call.options.get("scale")
    if not isinstance(scale, int | float | None):
        raise UnsupportedError("has a scale that is no number")
    mixed, _ = _attended(call, heads, scale, mask)
    return mixed.with_index(mixed.index.swapaxes(0, 1))


_ALONE: Final = ("Attention", "AdditiveAttention")
"""Layers of one head, which leave out the queries that are masked after they attend."""

ATTENDING: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {
        **dict.fromkeys(("MultiHeadAttention", "GroupQueryAttention", "GroupedQueryAttention"), _multi_head),
        **dict.fromkeys(_ALONE, _attention),
    }
)
"""Layers by class name."""

ATTENTION: Final[Mapping[str, LayerReader]] = MappingProxyType({"DotProductAttention": _of_operands})
"""Operations by class name."""
