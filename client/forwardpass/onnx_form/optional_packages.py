"""The packages of the extra `onnx`, imported where they are needed."""

from typing import Any

from forwardpass.extras import load


def import_package(package: str) -> Any:
    """Import a module of the extra `onnx`, which is slow and not always there.

    Raises:
        MissingExtraError: It is not installed.
    """
    return load(package, needed_by="an ONNX model")
