"""Preprocessing layers that make categories of values, and columns of categories."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.drafts import Values
from forwardpass.importers.keras.refused import Refused
from forwardpass.importers.keras.step import Read, Step, check_width
from forwardpass.tensors import Array

_REDUCED: Final[Mapping[str, str]] = MappingProxyType({"multi_hot": "max", "count": "sum"})
_MODES: Final = ("one_hot", *_REDUCED)


def _discretization(step: Step) -> Values:
    """Say each value's bin: how many boundaries are up to it."""
    values = step.values
    boundaries = _numbers(step, "bin_boundaries")
    if not len(boundaries):
        raise Refused("has no boundaries; adapt it, or give it some")
    binned = step.each(values, {"kind": "bucketize", "boundaries": boundaries})
    return encoded(step, binned, len(boundaries) + 1, step.word("output_mode", "int"))


def _category_encoding(step: Step) -> Values:
    values, count = step.values, step.whole("num_tokens")
    check_width(count)
    if step.options.get("count_weights") is not None:
        raise Refused("is called with count_weights, which are not read; multiply by them in a layer after it")
    for place in range(values.width):
        step.notes.limit(values, place, np.arange(float(count)))
    return encoded(step, values, count, step.word("output_mode", "multi_hot"))


def _integer_lookup(step: Step) -> Values:
    try:
        keys = np.asarray(words_of(step), dtype=np.int64).astype(np.float64)
    except (TypeError, ValueError):
        raise Refused("has a vocabulary that is no list of whole numbers; adapt it, or give it one") from None
    values = step.values
    oov = step.config.get("oov_token", -1)
    # A random row has a number beside the vocabulary too, where those have a place of their own.
    unknown = [float(oov)] if step.whole("num_oov_indices", 1) and isinstance(oov, int) else []
    for place in range(values.width):
        step.notes.limit(values, place, np.asarray([*keys, *unknown]))
    return looked_up(step, values, keys)


def _string_lookup(step: Step) -> Values:
    words, values = [str(word) for word in words_of(step)], step.values
    if step.config.get("mask_token") is not None:
        raise Refused("has a mask token, which is not read; use mask_token=None")
    found = [step.notes.categorize(values, place, words, "nan") for place in range(values.width)]
    keys = found[0]
    if keys is None or any(other is None or (other != keys).any() for other in found):
        raise Refused("reads texts that are no inputs, or several of which other layers know other words")
    return looked_up(step, values, keys)


def words_of(step: Step) -> list[Any]:
    """Return a layer's vocabulary without what stands for the mask and the unknown.

    Raises:
        Refused: It has none.
    """
    words = step.config.get("vocabulary")
    if words is None:
        words = step.vocabulary()
    if not isinstance(words, list):
        raise Refused("has no vocabulary in the file; adapt it, or give it one, before the model is saved")
    mask = step.config.get("mask_token")
    special = [*([] if mask is None else [mask]), *[step.config.get("oov_token")] * step.whole("num_oov_indices", 1)]
    has_special = list(map(str, words[: len(special)])) == list(map(str, special))
    return words[len(special) :] if has_special else words


def looked_up(step: Step, values: Values, keys: Array) -> Values:
    """Return the place of each value in a vocabulary, as `IntegerLookup` counts: the mask, what is unknown, the words.

    Raises:
        Refused: It spreads what is unknown over several places.
    """
    step.only("invert", False, "turns places into words, which is not read")
    step.only("idf_weights", None, "weighs by rarity, which is not read; use output_mode='count'")
    mode, unknown = step.word("output_mode", "int"), step.whole("num_oov_indices", 1)
    mask = step.config.get("mask_token")
    if unknown > 1:
        raise Refused(f"spreads what is unknown over {unknown} places by a hash; use num_oov_indices=1")
    if mask is not None and mode != "int":
        raise Refused("leaves out a mask token, which is not read; use mask_token=None")
    first = unknown + (mask is not None)
    places = np.arange(first, first + len(keys), dtype=np.float64)
    if mask is not None:
        keys, places = np.append(keys, float(mask)), np.append(places, 0.0)
    if len(np.unique(keys)) < len(keys) or not len(keys):
        raise Refused("has no word, or one that is there twice")
    document: dict[str, Any] = {"kind": "lookup", "keys": keys, "values": places}
    if unknown:
        document["default"] = float(first - 1)
    found = step.each(values, document)
    count = step.config.get("max_tokens") if step.flag("pad_to_max_tokens", False) else first + len(places)
    return encoded(step, found, int(count or 0), mode)


def encoded(step: Step, values: Values, count: int, mode: str) -> Values:
    """Return categories as they are, or with a column for each.

    Args:
        step: The layer.
        values: The categories, from 0.
        count: How many there are.
        mode: `int`, `one_hot`, `multi_hot` or `count`.

    Raises:
        Refused: It is another mode.
    """
    if mode == "int":
        return values
    if mode not in _MODES:
        raise Refused(f"has output_mode={mode!r}, which is not read; read are int, {', '.join(_MODES)}")
    check_width(count * values.width)
    categories = np.tile(np.arange(float(count)), values.width)
    indices = np.repeat(np.arange(values.width), count)
    hot = step.layer(values, len(categories), hint="_one_hot", kind="one_hot", categories=categories, indices=indices)
    shape = values.shape or (1,)
    hot = hot.reshaped(*shape, count)
    if shape[-1] == 1:
        return hot.reshaped(*shape[:-1], count)
    if mode == "one_hot":
        return hot
    # The places of a row that belong together are those of the last axis.
    together = np.moveaxis(np.arange(hot.width).reshape(hot.shape), -2, -1).reshape(-1, shape[-1])
    pooled = step.layer(hot, len(together), kind="pool", windows=together, reduce=_REDUCED[mode])
    return pooled.reshaped(*shape[:-1], count)


def _numbers(step: Step, key: str) -> Array:
    found = step.config.get(key)
    try:
        numbers: Array = np.asarray([] if found is None else found, dtype=np.float64).ravel()
    except (TypeError, ValueError):
        raise Refused(f"has {key} that are no numbers") from None
    return numbers


ENCODING: Final[Mapping[str, Read]] = MappingProxyType(
    {
        "Discretization": _discretization,
        "CategoryEncoding": _category_encoding,
        "IntegerLookup": _integer_lookup,
        "StringLookup": _string_lookup,
    }
)
"""By class."""
