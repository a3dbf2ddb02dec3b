"""Rows without a server: the core and its peers."""

from collections.abc import Mapping
from typing import Final

from benchmarks import networks
from benchmarks.lab import Lab
from benchmarks.needs import ONNXRUNTIME
from benchmarks.peers import DTYPES, race
from benchmarks.table import Finding, Goal, Row, ratio

COUNT: Final = 1024


def fast(lab: Lab) -> Mapping[str, Finding]:
    """Compare numerics `fast` with ONNX Runtime."""
    return {networks.label(sizes): _against(lab, sizes, "float32", "fast", "onnxruntime") for sizes in networks.ALL}


def exact(lab: Lab) -> Mapping[str, Finding]:
    """Compare exact numerics with plain numpy."""
    return {
        f"{networks.label(sizes)} {dtype}": _against(lab, sizes, dtype, "exact", "numpy")
        for sizes in networks.ALL
        for dtype in DTYPES
    }


def _against(lab: Lab, sizes: networks.Sizes, dtype: str, ours: str, theirs: str) -> Finding:
    we, they = race(lab, sizes, dtype, COUNT, ours, theirs)
    return ratio(they, we, **{f"{ours}_us": we * 1e6, f"{theirs}_us": they * 1e6})


ROWS: Final = (
    Row(
        number=7,
        goals={
            (key := networks.label(sizes)): Goal(title=f"forward, 1,024 rows, fast / onnxruntime, {key}", wanted=0.9)
            for sizes in networks.ALL
        },
        measure=fast,
        needs=(ONNXRUNTIME,),
    ),
    Row(
        number=8,
        goals={
            (key := f"{networks.label(sizes)} {dtype}"): Goal(
                title=f"forward, 1,024 rows, exact / plain numpy, {key}", wanted=0.6
            )
            for sizes in networks.ALL
            for dtype in DTYPES
        },
        measure=exact,
    ),
)
