"""BYTES tensors of categories: their texts become the indices that the network computes with."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from forwardpass.spec.feature_kinds import UNKNOWN

from forwardpass_server.oip.datatypes import TEXT_LENGTH, invalid

if TYPE_CHECKING:
    from forwardpass_server.oip.v2.inference_pb2 import ModelInferRequest
    from forwardpass_server.registry import LoadedVersion

BYTES = "BYTES"
"""The datatype of texts."""


def categories_of(name: str, loaded: "LoadedVersion") -> Mapping[str, int] | None:
    """Return the index of each category of an input, or None if the input is no category."""
    column = loaded.feature_index.get(name)
    if column is None or loaded.typed is None:
        return None
    return loaded.typed.categories[column] or None


def read_categories(
    request: "ModelInferRequest", index: int, count: int, categories: Mapping[str, int]
) -> npt.NDArray[np.float64]:
    """Return the category indices of a BYTES input, shape `(count,)`, with `UNKNOWN` for a text that is no category.

    Raises:
        InvalidTensorError: The number of elements is not `count`.
    """
    texts = texts_of(request, index)
    if len(texts) != count:
        name = request.inputs[index].name
        raise invalid(name, f"unexpected number of elements for input '{name}'. Expected {count}, got {len(texts)}")
    return np.array([categories.get(text, UNKNOWN) for text in texts], np.float64)


def texts_of(request: "ModelInferRequest", index: int) -> list[str]:
    """Return the texts of a BYTES input; bytes that are not UTF-8 become U+FFFD, so that the text is no category.

    Raises:
        InvalidTensorError: The raw contents end within an element, or the typed contents are of another datatype.
    """
    tensor = request.inputs[index]
    if request.raw_input_contents:
        elements = list(_elements(request.raw_input_contents[index], tensor.name))
    else:
        others = [field.name for field, _ in tensor.contents.ListFields() if field.name != "bytes_contents"]
        if others:
            raise invalid(tensor.name, f"input '{tensor.name}' is BYTES: use bytes_contents, not {', '.join(others)}")
        elements = list(tensor.contents.bytes_contents)
    return [element.decode(errors="replace") for element in elements]


def _elements(raw: bytes, tensor: str) -> Iterator[bytes]:
    """Yield the elements of raw contents, each of which follows its length in four bytes."""
    place, end = 0, len(raw)
    while place < end:
        start = place + TEXT_LENGTH.size
        place = start + TEXT_LENGTH.unpack_from(raw, place)[0] if start <= end else end + 1
        if place > end:
            raise invalid(tensor, f"input '{tensor}' ends within an element; each must follow its length in 4 bytes")
        yield raw[start:place]
