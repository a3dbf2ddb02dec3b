"""Programs and packages that rows need, and how to install them."""

import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """A program or package that may be missing.

    Attributes:
        name: Its name.
        found: Says whether it is installed.
        remedy: How to install it.
    """

    name: str
    found: Callable[[], bool]
    remedy: str


def missing(needs: Iterable[Need]) -> str:
    """Return a sentence that names the missing ones, or ""."""
    return "; ".join(f"needs {need.name}: {need.remedy}" for need in needs if not need.found())


def _has(module: str) -> Callable[[], bool]:
    return lambda: find_spec(module) is not None


def _has_grpc_headers() -> bool:
    if not shutil.which("g++") or not shutil.which("pkg-config"):
        return False
    return subprocess.run(["pkg-config", "--exists", "grpc++"], check=False).returncode == 0


H2LOAD: Final = Need(
    name="h2load", found=lambda: shutil.which("h2load") is not None, remedy="apt-get install nghttp2-client"
)
CORES: Final = Need(
    name="two cores and taskset",
    found=lambda: (os.cpu_count() or 1) > 1 and shutil.which("taskset") is not None,
    remedy="Linux with util-linux, on a larger machine",
)
GRPC_CPP: Final = Need(
    name="gRPC for C++", found=_has_grpc_headers, remedy="apt-get install g++ pkg-config libgrpc++-dev"
)
NATIVE: Final = Need(name="pygrpc-native", found=_has("pygrpc_native"), remedy="pip install pygrpc-native")
ONNXRUNTIME: Final = Need(
    name="onnxruntime", found=lambda: _has("onnxruntime")() and _has("onnx")(), remedy="pip install --group bench"
)
TORCH: Final = Need(
    name="torch", found=_has("torch"), remedy="pip install a CPU build of torch, see https://pytorch.org/get-started"
)
SKLEARN: Final = Need(name="scikit-learn", found=_has("sklearn"), remedy="pip install --group bench")
PY_SPY: Final = Need(name="py-spy", found=lambda: py_spy().exists(), remedy="pip install --group bench")

LOAD: Final = (H2LOAD, CORES)
ALL: Final = (H2LOAD, CORES, GRPC_CPP, NATIVE, ONNXRUNTIME, TORCH, SKLEARN)


def py_spy() -> Path:
    """Return the path of py-spy beside this Python."""
    return Path(sysconfig.get_path("scripts")) / "py-spy"


def engine(name: str) -> tuple[Need, ...]:
    """Return the needs of an engine."""
    return (NATIVE,) if name == "native" else ()
