"""Loads the weights of a module from a safetensors file; the caller's code makes the module.

Nothing in the file is run. The other files that PyTorch saves are pickles.
"""

from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from forwardpass.errors import Fault, InvalidFieldError
from forwardpass.importers.model_loader import load_object


def load_weights(path: str | PathLike[str], architecture: str) -> Any:
    """Make a module and load the tensors of a file into it; the file must have exactly its tensors.

    Tensors keep the dtype of the file; half precision becomes float32, which has all of its numbers.

    Args:
        path: A file as `safetensors.torch.save_file(module.state_dict(), path)` or `save_model` writes it.
        architecture: `MODULE:ATTRIBUTE`, a `torch.nn.Module`, its class, or a function that
            returns one.

    Raises:
        InvalidFieldError: There is no such module, or the file cannot be read or has other tensors than the module;
            `faults` has each of them.
    """
    found = load_object(architecture)
    module = found() if isinstance(found, type) else found
    if not hasattr(module, "load_state_dict"):
        raise _invalid(architecture, f"is a {type(module).__name__}, and must be a torch.nn.Module")
    name = Path(path).name
    tensors = _full(_read(Path(path)))
    expected = module.state_dict()
    tensors = {**_twins(expected, tensors), **tensors}
    faults = [
        Fault(path=f"{name}.{key}", message=f"is missing; the module has it, of shape {list(expected[key].shape)}")
        for key in expected.keys() - tensors.keys()
    ]
    faults += [
        Fault(path=f"{name}.{key}", message="is not a tensor of the module") for key in tensors.keys() - expected
    ]
    faults += [
        Fault(path=f"{name}.{key}", message=f"has the shape {list(tensor.shape)}; must be {list(expected[key].shape)}")
        for key, tensor in tensors.items()
        if key in expected and tensor.shape != expected[key].shape
    ]
    if faults:
        faults.sort(key=lambda fault: fault.path)
        raise InvalidFieldError(f"{name} has other tensors than {architecture}: {faults[0]}", faults=faults)
    module.load_state_dict(tensors, assign=True)
    return module


def _read(path: Path) -> Mapping[str, Any]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise _invalid(path.name, "needs the package safetensors; pip install safetensors") from error
    try:
        tensors: Mapping[str, Any] = load_file(path)
    except Exception as error:
        raise _invalid(path.name, f"cannot be read as safetensors: {error}") from error
    return tensors


def _full(tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: tensor.float() if str(tensor.dtype) in {"torch.float16", "torch.bfloat16"} else tensor
        for key, tensor in tensors.items()
    }


def _twins(expected: Mapping[str, Any], tensors: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors that the module shares under other names than the file has."""
    places = {
        (expected[key].data_ptr(), expected[key].shape): tensor for key, tensor in tensors.items() if key in expected
    }
    found = {key: places.get((tensor.data_ptr(), tensor.shape)) for key, tensor in expected.items() if tensor.numel()}
    return {key: tensor for key, tensor in found.items() if tensor is not None}


def _invalid(path: str, message: str) -> InvalidFieldError:
    return InvalidFieldError(f"{path}: {message}", faults=[Fault(path=path, message=message)])
