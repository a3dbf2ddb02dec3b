"""What figures depend on: the processor, the versions, the commit. Nothing that tells whose machine it is."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np  # noqa: F401 - loads the BLAS that is asked about
from threadpoolctl import threadpool_info

PACKAGES: Final = (
    "forwardpass",
    "grpcio",
    "numpy",
    "onnxruntime",
    "protobuf",
    "pygrpc-native",
    "scikit-learn",
    "torch",
)


def describe() -> dict[str, object]:
    """Describe the machine by what matters for speed."""
    blas: dict[str, Any] = next((info for info in threadpool_info() if info["user_api"] == "blas"), {})
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "blas": f"{blas.get('internal_api')} {blas.get('version')}",
        "blas_kernels": str(blas.get("architecture")),
    }


def versions() -> dict[str, str]:
    """Return the versions of what takes part, as far as it is installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Return the commit that is measured, with a `+` when files were changed since."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+", "--exclude=*"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return ran.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
