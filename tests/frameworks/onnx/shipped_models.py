"""The models that the package onnx ships besides its node tests, counted in docs/importing/measured.md.

`python -m tests.frameworks.onnx.shipped_models` prints the table, with `--write-docs` into the document. Each model
that is imported is compared by its certificate, and with the outputs that onnx gives for its inputs.
"""

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from forwardpass.importers import UnsupportedModelError, import_model
from forwardpass.importers.onnx import load_model
from forwardpass_server.core import forward
from forwardpass_server.registry.compile import check_examples, compile_plan
from onnx import numpy_helper

from tests.support.environments import ROOT

DOCS: Final = ROOT / "docs" / "importing" / "measured.md"
FOLDERS: Final = ("pytorch-converted", "pytorch-operator", "simple", "light")
_TABLE: Final = re.compile(
    r"(<!-- shipped: python -m tests.frameworks.onnx.shipped_models -->\n)(.*?)(<!-- end -->)", flags=re.DOTALL
)
_NUMBERS: Final = re.compile(r"\b[0-9][0-9,]*(?:, [0-9]+)*")
_TOLERANCE: Final = 1e-3
"""Of numbers that were computed in float32 by Caffe2 or PyTorch."""


def table() -> str:
    """Return the table, and for each reason of a rejection how many models it keeps out."""
    lines = [f"| onnx {onnx.__version__} | imported and equal | rejected |", "|---|---|---|"]
    reasons: Counter[str] = Counter()
    for folder in FOLDERS:
        rejected = [reason for reason in map(rejection, models(folder)) if reason]
        count = sum(1 for _ in models(folder))
        lines.append(f"| `{folder}` | {count - len(rejected)} of {count} | {len(rejected)} |")
        reasons.update(rejected)
    lines += ["", *(f"- {count}: {reason}" for reason, count in reasons.most_common())]
    return "\n".join(lines) + "\n"


def models(folder: str) -> Iterator[Path]:
    """Yield the files of the models of a folder."""
    root = Path(onnx.__file__).parent / "backend" / "test" / "data" / folder
    yield from sorted([*root.glob("*/model.onnx"), *root.glob("*.onnx")])


def rejection(file: Path) -> str:
    """Import a model and compare it; return why it is rejected, or an empty text.

    Raises:
        AssertionError: The network computes something else.
    """
    model = load_model(file)
    try:
        imported = import_model(model)
    except UnsupportedModelError as error:
        reason = str(error.faults[0]) if error.faults else str(error)
        return _NUMBERS.sub("N", reason.partition(": ")[2].partition(";")[0])
    plan = compile_plan(imported.spec)
    check_examples(imported.spec, plan)
    for data in sorted(file.parent.glob("test_data_set_*")):
        inputs, outputs = (_arrays(data, kind) for kind in ("input", "output"))
        row = np.concatenate([array.ravel() for array in inputs])
        rows = row.reshape(-1, imported.spec.inputs.width) if len(inputs) == 1 else _joined(inputs, imported.spec)
        expected = np.concatenate([array.ravel() for array in outputs])
        np.testing.assert_allclose(
            forward(plan, rows.astype(plan.dtype)).ravel(), expected, rtol=_TOLERANCE, atol=_TOLERANCE
        )
    return ""


def _joined(inputs: list[Any], spec: Any) -> Any:
    """Return the rows of several inputs side by side."""
    count = sum(array.size for array in inputs) // spec.inputs.width
    return np.concatenate([array.reshape(count, -1) for array in inputs], axis=1)


def _arrays(data: Path, kind: str) -> list[Any]:
    count = len(list(data.glob(f"{kind}_*.pb")))
    files = [data / f"{kind}_{place}.pb" for place in range(count)]
    return [numpy_helper.to_array(onnx.TensorProto.FromString(file.read_bytes())) for file in files]


def documented() -> str:
    """Return the table as the document has it."""
    found = _TABLE.search(DOCS.read_text())
    assert found is not None
    return found[2]


if __name__ == "__main__":
    made = table()
    print(made, end="")
    if "--write-docs" in sys.argv:
        DOCS.write_text(_TABLE.sub(lambda found: found[1] + made + found[3], DOCS.read_text()))
