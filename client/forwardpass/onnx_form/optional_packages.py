"""Imports the packages of the extra `onnx` when they are needed."""

from typing import Any

from forwardpass.extras import load


def import_package(package: str) -> Any:
    """Import a module of the extra `onnx`, which is slow and may not be installed.

    Raises:
        MissingExtraError: It is not installed.
    """
    return load(package, needed_by="an ONNX model")
