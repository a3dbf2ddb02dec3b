"""Runs a module for an example, and finds in it what `torch.onnx` does not record rightly."""

from collections.abc import Sequence
from typing import Any, Final

_TAKEN_FROM_TENSORS: Final = frozenset(
    {"equal", "allclose", "is_nonzero", "item", "tolist", "numpy", "__array__", "__bool__", "__int__", "__float__"}
)
"""Functions of torch that make numbers and conditions of Python of tensors."""


class FixedError(Exception):
    """What `torch.onnx` writes holds for its example alone."""

    def __init__(self) -> None:
        super().__init__("a condition or a number is taken from a tensor")


class SharedError(Exception):
    """What `torch.onnx` writes may lack a write."""

    def __init__(self) -> None:
        super().__init__("a tensor is written that others share, such as a view; use `torch.where` or `torch.cat`")


def run_example(module: Any, rows: Sequence[Any]) -> list[Any]:
    """Compute example rows by a module; return the tensors of all outputs.

    Raises:
        FixedError: The module takes a number or a condition of Python from a tensor that depends on the rows;
            `torch.onnx` warns of some of these only. The conditions of TorchScript are in its graph, and are no fault.
        SharedError: The module writes into a tensor that has views.
    """
    import torch
    from torch.overrides import TorchFunctionMode
    from torch.utils._python_dispatch import TorchDispatchMode

    watch = _Watch(rows, is_script=isinstance(module, torch.jit.ScriptModule))

    class Functions(TorchFunctionMode):  # type: ignore[misc] # torch has no types here
        def __torch_function__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
            watch.check_function(getattr(func, "__name__", ""), (args, kwargs))
            return func(*args, **(kwargs or {}))

    class Operators(TorchDispatchMode):  # type: ignore[misc] # torch has no types here
        def __torch_dispatch__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
            if func._schema.is_mutable and args:  # noqa: SLF001 - torch's only one
                watch.check_write(args[0])
            is_read = watch.is_read((args, kwargs))
            result = func(*args, **(kwargs or {}))
            if is_read:
                watch.keep(result)
            return result

    try:
        with torch.no_grad(), Functions(), Operators():
            return _tensors(module(*rows))
    except Exception:
        if watch.fault is not None:  # the interpreter of TorchScript raises another error
            raise watch.fault from None
        raise


class _Watch:
    """The tensors that depend on the rows, and the fault that was found.

    Args:
        rows: The tensors that the module reads.
        is_script: Whether numbers and conditions of Python are in its graph.
    """

    def __init__(self, rows: Sequence[Any], *, is_script: bool) -> None:
        self.fault: Exception | None = None
        self._is_script = is_script
        # By their memory; all are kept until the end, so that no other gets it.
        self._tensors: dict[int, dict[int, Any]] = {}
        self.keep(rows)

    def check_function(self, name: str, tree: Any) -> None:
        if not self._is_script and name in _TAKEN_FROM_TENSORS and self.is_read(tree):
            self._fail(FixedError())

    def check_write(self, tensor: Any) -> None:
        if any(len(self._tensors.get(_memory(each), ())) > 1 for each in _tensors(tensor)):
            self._fail(SharedError())

    def is_read(self, tree: Any) -> bool:
        return any(_memory(tensor) in self._tensors for tensor in _tensors(tree))

    def keep(self, result: Any) -> None:
        """Add what an operation made of tensors that depend on the rows."""
        tensors = _tensors(result)
        if not self._is_script and len(tensors) < len(_leaves(result)):
            self._fail(FixedError())
        for tensor in tensors:
            self._tensors.setdefault(_memory(tensor), {})[id(tensor)] = tensor

    def _fail(self, fault: Exception) -> None:
        self.fault = fault
        raise fault


def _leaves(tree: Any) -> list[Any]:
    import torch

    leaves: list[Any] = torch.utils._pytree.tree_leaves(tree)  # noqa: SLF001 - what tuples and dicts have
    return leaves


def _tensors(tree: Any) -> list[Any]:
    import torch

    return [leaf for leaf in _leaves(tree) if isinstance(leaf, torch.Tensor)]


def _memory(tensor: Any) -> int:
    """Return the address of a tensor's memory, which its views share."""
    address: int = tensor.untyped_storage().data_ptr()
    return address
