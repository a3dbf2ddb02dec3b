"""The facts that figures depend on: processor, versions, commit. Nothing identifies the machine's owner."""

import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np  # noqa: F401 - loads the BLAS that is described
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
    """Describe the machine by the facts that matter for speed."""
    blas: dict[str, Any] = next((info for info in threadpool_info() if info["user_api"] == "blas"), {})
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "blas": f"{blas.get('internal_api')} {blas.get('version')}",
        "blas_kernels": str(blas.get("architecture")),
    }


def busy(seconds: float = 1.0) -> float:
    """Return the share of all cores' time that other processes use, from 0 to 1."""
    before = _jiffies()
    time.sleep(seconds)
    used, idle = (after - earlier for after, earlier in zip(_jiffies(), before, strict=True))
    return used / max(used + idle, 1)


def versions() -> dict[str, str]:
    """Return the versions of the packages that are installed."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """Return the measured commit, with a `+` if files have changed since."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+", "--exclude=*"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    return ran.stdout.strip()


def _jiffies() -> tuple[int, int]:
    """Return the time that the cores have worked and idled; https://man7.org/linux/man-pages/man5/proc_stat.5.html."""
    total = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = total[3] + total[4]
    return sum(total) - idle, idle


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
