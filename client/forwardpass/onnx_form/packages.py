"""The packages of the extra `onnx`, imported where they are needed."""

import importlib
from typing import Any


def imported(package: str) -> Any:
    """Import a package of the extra `onnx`, which is slow and not always there.

    Raises:
        ImportError: It is not installed.
    """
    try:
        return importlib.import_module(package)
    except ImportError:
        raise ImportError(f"needs the package {package}; install forwardpass[onnx]") from None
