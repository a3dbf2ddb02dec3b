"""Preprocessing layers: between values, categories and one-hot columns."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.keras.layer_call import LayerCall, LayerReader, check_width
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.tensors import Array

_REDUCED: Final[Mapping[str, str]] = MappingProxyType({"multi_hot": "max", "count": "sum"})
_MODES: Final = ("one_hot", *_REDUCED)


def _discretization(call: LayerCall) -> TensorRef:
    """Return the bin of each value, the number of boundaries up to it."""
    values = call.input
    boundaries = _numbers(call, "bin_boundaries")
    if not len(boundaries):
        raise UnsupportedError("has no boundaries; adapt it, or give it some")
    binned = call.elementwise(values, {"kind": "bucketize", "boundaries": boundaries})
    return encoded(call, binned, len(boundaries) + 1, call.text("output_mode", "int"))


def _category_encoding(call: LayerCall) -> TensorRef:
    values, count = call.input, call.integer("num_tokens")
    check_width(count)
    if call.options.get("count_weights") is not None:
        raise UnsupportedError("is called with count_weights, which are not supported; multiply in a layer after it")
    for place in range(values.size):
        call.constraints.restrict(values, place, np.arange(float(count)))
    return encoded(call, values, count, call.text("output_mode", "multi_hot"))


def _integer_lookup(call: LayerCall) -> TensorRef:
    try:
        keys = np.asarray(words_of(call), dtype=np.int64).astype(np.float64)
    except (TypeError, ValueError):
        raise UnsupportedError("has a vocabulary that is no list of whole numbers; adapt it, or give it one") from None
    values = call.input
    oov = call.config.get("oov_token", -1)
    # Random rows have unknown numbers too, where these have a place.
    unknown = [float(oov)] if call.integer("num_oov_indices", 1) and isinstance(oov, int) else []
    for place in range(values.size):
        call.constraints.restrict(values, place, np.asarray([*keys, *unknown]))
    return looked_up(call, values, keys)


def _string_lookup(call: LayerCall) -> TensorRef:
    words, values = [str(word) for word in words_of(call)], call.input
    if call.config.get("mask_token") is not None:
        raise UnsupportedError("has a mask token, which is not supported; use mask_token=None")
    unknown = "nan" if call.integer("num_oov_indices", 1) else "refuse"
    found = [call.constraints.categorize(values, place, words, unknown) for place in range(values.size)]
    keys = found[0]
    if keys is None or any(other is None or (other != keys).any() for other in found):
        raise UnsupportedError("reads texts that are no inputs, or several of which other layers know other words")
    return looked_up(call, values, keys)


def words_of(call: LayerCall) -> list[Any]:
    """Return the vocabulary of a layer without the mask token and the unknown token.

    Raises:
        UnsupportedError: It has none.
    """
    words = call.config.get("vocabulary")
    if words is None:
        words = call.vocabulary()
    if not isinstance(words, list):
        raise UnsupportedError("has no vocabulary in the file; adapt it, or give it one, before the model is saved")
    mask = call.config.get("mask_token")
    special = [*([] if mask is None else [mask]), *[call.config.get("oov_token")] * call.integer("num_oov_indices", 1)]
    has_special = list(map(str, words[: len(special)])) == list(map(str, special))
    return words[len(special) :] if has_special else words


def looked_up(call: LayerCall, values: TensorRef, keys: Array) -> TensorRef:
    """Return the index of each value as `IntegerLookup` counts: the mask, unknown values, the vocabulary.

    Raises:
        UnsupportedError: It hashes unknown values to several indices.
    """
    call.require("invert", False, "turns places into words, which is not supported")
    call.require("idf_weights", None, "weighs by rarity, which is not supported; use output_mode='count'")
    mode, unknown = call.text("output_mode", "int"), call.integer("num_oov_indices", 1)
    mask = call.config.get("mask_token")
    if unknown > 1:
        raise UnsupportedError(f"spreads what is unknown over {unknown} places by a hash; use num_oov_indices=1")
    if mask is not None and mode != "int":
        raise UnsupportedError("leaves out a mask token, which is not supported; use mask_token=None")
    first = unknown + (mask is not None)
    places = np.arange(first, first + len(keys), dtype=np.float64)
    if mask is not None:
        keys, places = np.append(keys, float(mask)), np.append(places, 0.0)
    if len(np.unique(keys)) < len(keys) or not len(keys):
        raise UnsupportedError("has no word, or one that is there twice")
    document: dict[str, Any] = {"kind": "lookup", "keys": keys, "values": places}
    if unknown:
        document["default"] = float(first - 1)
    found = call.elementwise(values, document)
    count = call.config.get("max_tokens") if call.boolean("pad_to_max_tokens", False) else first + len(places)
    return encoded(call, found, int(count or 0), mode)


def encoded(call: LayerCall, values: TensorRef, count: int, mode: str) -> TensorRef:
    """Return categories as they are, or as one column each.

    Args:
        call: The layer.
        values: The categories, from 0.
        count: The number of categories.
        mode: `int`, `one_hot`, `multi_hot` or `count`.

    Raises:
        UnsupportedError: The mode is another one, or joins rows.
    """
    if mode == "int":
        return values
    if mode not in _MODES:
        known = ", ".join(("int", *_MODES))
        raise UnsupportedError(f"has output_mode={mode!r}, which is not supported; supported are {known}")
    if mode in _REDUCED and not values.shape:
        raise UnsupportedError(
            f"has output_mode={mode!r} and joins all rows of an input of shape (); give it shape (1,)"
        )
    check_width(count * values.size)
    categories = np.tile(np.arange(float(count)), values.size)
    indices = np.repeat(np.arange(values.size), count)
    hot = call.layer(values, len(categories), hint="_one_hot", kind="one_hot", categories=categories, indices=indices)
    shape = values.shape or (1,)
    hot = hot.reshape(*shape, count)
    if shape[-1] == 1:
        return hot.reshape(*shape[:-1], count)
    if mode == "one_hot":
        return hot
    # The places of a row that belong together are those of the last axis.
    together = np.moveaxis(np.arange(hot.size).reshape(hot.shape), -2, -1).reshape(-1, shape[-1])
    pooled = call.layer(hot, len(together), kind="pool", windows=together, reduce=_REDUCED[mode])
    return pooled.reshape(*shape[:-1], count)


def _numbers(call: LayerCall, key: str) -> Array:
    found = call.config.get(key)
    try:
        numbers: Array = np.asarray([] if found is None else found, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        raise UnsupportedError(f"has {key} that are no numbers") from None
    return numbers


ENCODING: Final[Mapping[str, LayerReader]] = MappingProxyType(
    {
        "Discretization": _discretization,
        "CategoryEncoding": _category_encoding,
        "IntegerLookup": _integer_lookup,
        "StringLookup": _string_lookup,
    }
)
"""By class name."""
