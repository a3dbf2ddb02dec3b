"""Optional packages: the extra that installs each, and the error that names it.

An extra is a group of packages that `pip install 'forwardpass[NAME]'` adds. A package that an extra
installs is imported by `load`, or its extra is checked first by `require`, so that every part of the library, the
server and the command line says the same sentence when it is missing.
"""

import importlib
from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, Final

from forwardpass.errors import ForwardpassError

EXTRAS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "cli": ("rich", "typer"),
        "keras": ("h5py",),
        "metrics": ("prometheus_client",),
        "onnx": ("onnx", "onnxruntime"),
        "parquet": ("pyarrow",),
        "png": ("resvg_py",),
        "postgres": ("psycopg",),
        "rest": ("httptools", "starlette", "uvicorn"),
        "server": (
            "alembic",
            "cachetools",
            "grpc_health",
            "grpc_reflection",
            "pydantic_settings",
            "sqlalchemy",
            "threadpoolctl",
        ),
        "view": ("httptools", "starlette", "uvicorn"),
    }
)
"""The packages of each extra, by the names that they are imported by."""


class MissingExtraError(ForwardpassError, ImportError):
    """A package of an extra is not installed; `facts` has `extra` and `packages`."""


def require(extra: str, *, needed_by: str) -> None:
    """Check that the packages of an extra are installed, without importing them.

    Args:
        extra: A key of `EXTRAS`.
        needed_by: The subject of the error's sentence, for example `setting rest_listen`.

    Raises:
        MissingExtraError: A package is not installed.
    """
    missing = [package for package in EXTRAS[extra] if find_spec(package) is None]
    if missing:
        raise _missing(extra, missing, needed_by)


def load(module: str, *, needed_by: str) -> Any:
    """Import and return a module of a package that an extra installs.

    Args:
        module: For example `onnx` or `pyarrow.parquet`.
        needed_by: The subject of the error's sentence, for example `an ONNX model`.

    Raises:
        MissingExtraError: The package is not installed.
        ImportError: The package is installed and cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is not None and error.name != package:
            raise
        raise _missing(extra_of(package), [package], needed_by) from None


def extra_of(package: str) -> str:
    """Return the extra that installs a package.

    Raises:
        LookupError: No extra installs it.
    """
    for extra, packages in EXTRAS.items():
        if package in packages:
            return extra
    raise LookupError(f"no extra installs {package}")


def _missing(extra: str, packages: list[str], needed_by: str) -> MissingExtraError:
    names = ", ".join(packages)
    verb = "is" if len(packages) == 1 else "are"
    return MissingExtraError(
        f"{needed_by} needs the extra `{extra}`, whose {names} {verb} not installed; "
        f"pip install 'forwardpass[{extra}]'",
        extra=extra,
        packages=names,
    )
