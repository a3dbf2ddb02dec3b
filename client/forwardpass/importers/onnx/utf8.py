"""Finds texts of a model that are not UTF-8: protobuf gives them as bytes, since ONNX's messages are of proto2."""

from collections.abc import Iterable
from typing import Any

from forwardpass.importers.unsupported import UnsupportedError


def check_texts(model: Any) -> None:
    """Reject a message of ONNX in which a text, for example a name, is not UTF-8.

    Raises:
        UnsupportedError: One is not.
    """
    waiting = [model]
    while waiting:
        message = waiting.pop()
        if message.DESCRIPTOR.name == "TensorProto":  # the loop below would copy its numbers
            _check([message.name, message.doc_string], message)
            waiting.extend(message.external_data)
            continue
        for field, value in message.ListFields():
            several = [value] if isinstance(value, str | bytes) or hasattr(value, "DESCRIPTOR") else value
            if field.type == field.TYPE_STRING:
                _check(several, message)
            elif field.type == field.TYPE_MESSAGE:
                waiting.extend(several)


def _check(texts: Iterable[str | bytes], message: Any) -> None:
    for text in texts:
        if isinstance(text, bytes):
            kind = message.DESCRIPTOR.name.removesuffix("Proto")
            raise UnsupportedError(f"has a {kind} with a name or text that is not UTF-8: {text[:40]!r}")
