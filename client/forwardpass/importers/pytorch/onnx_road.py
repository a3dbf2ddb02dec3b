"""The third road of a module: `torch.onnx` writes it as a graph of ONNX, in memory, which the ONNX front end reads.

It is for what neither `torch.fx` nor `torch.export` follows, such as TorchScript. The certificate compares with the
module itself.
"""

import warnings
from collections.abc import Mapping, Sequence
from io import BytesIO
from types import MappingProxyType
from typing import Any, Final

from forwardpass.errors import Fault
from forwardpass.importers import onnx
from forwardpass.importers.pytorch.example_run import FixedError, run_example
from forwardpass.importers.pytorch.exported_program import quiet
from forwardpass.importers.pytorch.input_shapes import ModuleInput
from forwardpass.importers.pytorch.program import compute_rows, dtype_of, first_line, unsupported_module
from forwardpass.importers.source import Source
from forwardpass.importers.unsupported import UnsupportedModelError, unsupported_parts
from forwardpass.onnx_form import import_package

_OPSETS: Final[Mapping[str, int]] = MappingProxyType({"float32": 17, "float64": 16})
"""The operator set by the dtype; from 17 on, layer normalization has an epsilon of float32."""


def read_by_onnx(module: Any, inputs: Sequence[ModuleInput], why: str) -> Source:
    """Read a module whose inputs are known.

    Args:
        module: The module, set to inference.
        inputs: The inputs.
        why: Why there is no other road, as the beginning of a sentence.

    Raises:
        UnsupportedModelError: onnx is not installed, `torch.onnx` cannot write the module, or the graph cannot become a
            network.
    """
    import torch

    name = getattr(module, "original_name", type(module).__name__)
    try:
        proto = _written(module, inputs)
    except ImportError as error:
        message = f"{why}; torch.onnx may, once `pip install onnx` was run"
        raise unsupported_module(name, message) from error
    except Exception as error:
        message = (
            f"{why}, nor can torch.onnx ({first_line(error)}); what depends on the rows' numbers or count is no "
            "feed-forward network: leave out such conditions"
        )
        raise unsupported_module(name, message) from error
    dtype = dtype_of(module.state_dict())
    try:
        return onnx.read_written(
            proto,
            framework=f"PyTorch {torch.__version__.partition('+')[0]}",
            title=f"{name}, by torch.onnx",
            compute=lambda rows: compute_rows(module, inputs, dtype, rows),
        )
    except UnsupportedModelError as error:
        said = [f"{fault.path}: {fault.message}" for fault in error.faults] or [str(error)]
        faults = [Fault(path=name, message=f"{why}; in the graph that torch.onnx writes, {each}") for each in said]
        raise unsupported_parts(faults, kind="module") from error


def _written(module: Any, inputs: Sequence[ModuleInput]) -> Any:
    """Return the `ModelProto` of a module.

    Raises:
        ImportError: onnx is not installed.
        FixedError: The graph would hold for the numbers of some rows, or for one number of rows.
        SharedError: The graph may lack a write.
    """
    import torch

    package = import_package("onnx")
    dtype = dtype_of(module.state_dict())
    numbers = getattr(torch, dtype)
    rows = tuple(torch.zeros((2, *each.shape), dtype=torch.int64 if each.is_integer else numbers) for each in inputs)
    names = [each.name for each in inputs]
    content = BytesIO()
    outputs = len(run_example(module, rows))
    with quiet(), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch.onnx.export(
            module,
            rows,
            content,
            dynamo=False,
            input_names=names,
            output_names=["output"] if outputs == 1 else [f"output_{place}" for place in range(outputs)],
            dynamic_axes={name: {0: "rows"} for name in names},
            opset_version=_OPSETS[dtype],
        )
    if any(issubclass(each.category, torch.jit.TracerWarning) for each in caught):
        raise FixedError
    return package.load_model_from_string(content.getvalue())
