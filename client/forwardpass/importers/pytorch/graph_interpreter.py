"""An interpreter of traced graphs, which finds what each node is for one row."""

import operator
import re
from collections.abc import Iterable, Mapping
from math import prod
from typing import Any, Final

import numpy as np

from forwardpass.errors import Fault
from forwardpass.importers.graph import LayerOperations, TensorRef
from forwardpass.importers.pytorch.constants import array_of
from forwardpass.importers.pytorch.integers import RowCount, RowPlaces
from forwardpass.importers.pytorch.modules import MODULES
from forwardpass.importers.pytorch.operations import changes_its_input, name_of, operate
from forwardpass.importers.pytorch.program import Program
from forwardpass.importers.pytorch.rows_axis import arranged
from forwardpass.importers.pytorch.sparsemax import find_sparsemax, may_begin
from forwardpass.importers.pytorch.unsupported import REASONS, UNKNOWN
from forwardpass.importers.unsupported import UnsupportedError, unsupported_parts

_FRAME: Final = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')
_OURS_AND_TORCHS: Final = ("/torch/", "/forwardpass/importers/")
_CHECKS: Final = frozenset({"_assert_is_none", "_assert", "_assert_tensor_metadata", "sym_constrain_range_for_size"})
"""Calls that compute nothing."""


class _Unknown:
    """The value of an unsupported node; nodes that read it are not checked."""


_UNKNOWN: Final = _Unknown()


class GraphInterpreter:
    """Interprets one program node by node and adds its layers to a builder."""

    def __init__(self, program: Program) -> None:
        names = [each.name for each in program.inputs]
        self.groups = {each.name: _free_name(each.name, len(names)) for each in program.inputs}
        self.graph = LayerOperations()
        self.graph.dtype, self.graph.batch = program.dtype, program.batch
        self._inputs = {
            each.name: self.graph.add_inputs(prod(each.shape), self.groups[each.name]).reshape(*each.shape)
            for each in program.inputs
        }
        self._program = program
        self._values: dict[Any, Any] = {}
        self._faults: list[Fault] = []
        self._sparsemaxes: dict[Any, tuple[int, TensorRef]] = {}
        self._replaced: set[Any] = set()

    def follow(self) -> Any:
        """Interpret the program; return what it returns, with a `TensorRef` for each tensor.

        Raises:
            UnsupportedModelError: Something in it cannot be expressed; `faults` has each place.
        """
        outputs: Any = None
        for node in self._program.graph.nodes:
            try:
                self._values[node] = self._value(node)
            except UnsupportedError as error:
                self._faults.append(Fault(path=_place(node), message=str(error)))
                self._values[node] = _UNKNOWN
                if node.args and hasattr(node.args[0], "graph"):
                    self._spoil(node)
            if node.op == "output":
                outputs = self._values[node]
        # Faults that lead to no output do not matter.
        if outputs is _UNKNOWN:
            raise unsupported_parts(self._faults, kind="module")
        return self._program.restore_outputs(outputs)

    def _spoil(self, node: Any) -> None:
        """Mark a tensor as unknown where an unsupported operation would have changed it."""
        try:
            name = name_of(node.target) if node.op in {"call_function", "call_method"} else ""
        except UnsupportedError:
            return
        if changes_its_input(name, node.kwargs):
            self._values[node.args[0]] = _UNKNOWN

    def _value(self, node: Any) -> Any:
        if may_begin(node):
            self._look_for_sparsemax(node)
        if node in self._replaced:
            return None
        if node in self._sparsemaxes:
            axis, x = self._sparsemaxes[node]
            self.graph.hint = _layer_name(node)
            return self.graph.softmax(x, axis - 1, "sparsemax")
        if node.op == "placeholder":
            return self._input(node)
        if node.op == "get_attr":
            return operator.attrgetter(node.target)(self._program.root)
        args, options = self._given(node.args), self._given(node.kwargs)
        if any(part is _UNKNOWN for part in _leaves((args, options))):
            return _UNKNOWN
        if node.op == "output":
            return args[0]
        if node.op == "call_module":
            self.graph.hint = str(node.target)
            return self._module(node.target, args, options)
        self.graph.hint = _layer_name(node)
        return self._operation(node, args, options)

    def _look_for_sparsemax(self, node: Any) -> None:
        """Note the sparsemax of a tensor that begins with a node, if one does."""
        x = next((self._values.get(each) for each in node.all_input_nodes), None)
        if node in self._replaced or not isinstance(x, TensorRef):
            return
        found = find_sparsemax(node, x, self._program.dtype, self._values.__getitem__)
        if found is not None:
            self._sparsemaxes[found.node] = found.axis, x
            self._replaced |= found.inner

    def _operation(self, node: Any, args: Any, options: Mapping[str, Any]) -> Any:
        if isinstance(node.target, type) and issubclass(node.target, tuple):
            return node.target(*args, **options)
        name = name_of(node.target)
        if name.removeprefix("aten.") in _CHECKS:
            return None
        parts = list(_leaves((args, options)))
        if not any(isinstance(part, TensorRef | RowCount | RowPlaces) for part in parts):
            return _computed(node, args, options)
        if not any(isinstance(part, TensorRef) for part in parts):
            try:
                return _of_count(node, name.removeprefix("aten."), args, options)
            except UnsupportedError:
                if not hasattr(args[0], "detach"):
                    raise
                args = (self._as_rows(args[0]), *args[1:])
        value = operate(self.graph, name, tuple(args), options)
        if changes_its_input(name, options) and node.args and not isinstance(node.args[0], list | tuple):
            self._values[node.args[0]] = value
        return value

    def _as_rows(self, constant: Any) -> TensorRef:
        """Return a constant with one axis of length 1, that of the rows, as a tensor with rows."""
        ones = [axis for axis, length in enumerate(constant.shape) if length == 1]
        if len(ones) != 1:
            raise UnsupportedError(
                f"makes constants of shape {list(constant.shape)} with other axes for each row; leave their shape"
            )
        made = self.graph.constants(next(iter(self._inputs.values())), array_of(constant))
        return arranged(made, made.index, ones[0])

    def _input(self, node: Any) -> Any:
        if node.target in self._program.constants:
            return self._program.constants[node.target]
        return self._inputs.get(node.target)

    def _module(self, path: str, args: Any, options: Mapping[str, Any]) -> Any:
        from torch.nn.utils.parametrize import type_before_parametrizations

        module = self._program.root.get_submodule(path)
        kind = type_before_parametrizations(module).__name__
        read = MODULES.get(kind)
        if read is None:
            raise UnsupportedError(f"{kind} {REASONS.get(kind, UNKNOWN)}")

        def call(name: str, *given: Any, **named: Any) -> Any:
            return operate(self.graph, name, given, named)

        try:
            return read(call, module, *args, **({"x": options["input"]} if "input" in options else options))
        except UnsupportedError as error:
            raise UnsupportedError(f"{kind}: {error}") from None

    def _given(self, part: Any) -> Any:
        """Replace nodes by their values."""
        if isinstance(part, tuple | list):
            return type(part)(map(self._given, part)) if type(part) in {tuple, list} else list(map(self._given, part))
        if isinstance(part, slice):
            return slice(*map(self._given, (part.start, part.stop, part.step)))
        if isinstance(part, Mapping):
            return {key: self._given(value) for key, value in part.items()}
        return self._values[part] if hasattr(part, "graph") and hasattr(part, "op") else part


def _of_count(node: Any, name: str, args: Any, options: Mapping[str, Any]) -> Any:
    """Compute with the number of rows what may stand in a shape."""
    if name == "getitem":
        return args[0][args[1]]
    if name in {"mul", "floordiv"} and sum(isinstance(part, RowCount) for part in args) == 1:
        count, number = args if isinstance(args[0], RowCount) else (args[1], args[0])
        if name == "mul":
            return RowCount(count.factor * number)
        if args[0] is count and count.factor % number == 0:
            return RowCount(count.factor // number)
    if name in {"arange", "arange.start_step"} and len(args) == 3 and args[0] == 0 and args[1] == RowCount(args[2]):
        return RowPlaces(args[2])
    if name in _MAKES_ROWS:  # one row, which broadcasts
        return _computed(node, _with_one_row(args), _with_one_row(options))
    raise UnsupportedError(f"{name} computes with the number of rows, which no row knows")


_MAKES_ROWS: Final = frozenset(
    {"expand", "repeat", "tile", "zeros", "ones", "full", "new_zeros", "new_ones", "new_full", "broadcast_to", "view"}
    | {"empty", "new_empty", "slice", "reshape"}
)
"""Operations that make constants with as many rows as there are."""


def _with_one_row(part: Any) -> Any:
    if isinstance(part, RowCount):
        if part.factor != 1:
            raise UnsupportedError(f"makes constants for {part}")
        return 1
    if isinstance(part, tuple | list):
        return type(part)(map(_with_one_row, part))
    return {key: _with_one_row(value) for key, value in part.items()} if isinstance(part, Mapping) else part


def _computed(node: Any, args: Any, options: Mapping[str, Any]) -> Any:
    """Compute a constant by torch."""
    import torch

    try:
        with torch.no_grad():
            args, options = _with_tensors(args), _with_tensors(options)
            if node.op == "call_method":
                found = getattr(args[0], node.target)(*args[1:], **options)
            else:
                found = node.target(*args, **options)
            # What is not written yet may be any number; 0 is one.
            return torch.zeros_like(found) if str(name_of(node.target)).removeprefix("aten.") in _EMPTY else found
    except Exception as error:
        raise UnsupportedError(f"{node.target} cannot be computed: {error!r}") from error


_EMPTY: Final = frozenset({"empty", "new_empty", "empty_like"})
"""Operations that make tensors to be written into."""


def _with_tensors(part: Any) -> Any:
    """Replace the arrays that operations made by tensors."""
    import torch

    if isinstance(part, np.ndarray):
        return torch.from_numpy(np.array(part, torch.get_default_dtype().__repr__().removeprefix("torch.")))
    if isinstance(part, tuple | list):
        return type(part)(map(_with_tensors, part))
    return {key: _with_tensors(value) for key, value in part.items()} if isinstance(part, Mapping) else part


def _leaves(part: Any) -> Iterable[Any]:
    """Yield the leaves of tuples, lists, mappings and slices."""
    if isinstance(part, Mapping):
        part = list(part.values())
    if isinstance(part, slice):
        part = [part.start, part.stop, part.step]
    if isinstance(part, tuple | list):
        for each in part:
            yield from _leaves(each)
    else:
        yield part


def _stack(node: Any) -> str:
    """Return the path of the module whose code calls a node."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [entry[0] if isinstance(entry, tuple) else entry for entry in stack.values()]
    return str(paths[-1]) if paths else ""


def _layer_name(node: Any) -> str:
    path = _stack(node)
    return f"{path}.{node.name}" if path else str(node.name).lstrip("_")


def _place(node: Any) -> str:
    """Return the origin of a node: the path of its module, and the line of code."""
    path = str(node.target) if node.op == "call_module" else _stack(node)
    place = f"model.{path}" if path else "model"
    frames = [
        frame
        for frame in _FRAME.finditer(node.stack_trace or "")
        if not any(part in frame["file"] for part in _OURS_AND_TORCHS)
    ]
    if not frames:
        return place
    frame = frames[-1]
    return f"{place} ({frame['file'].rpartition('/')[2]}:{frame['line']}, in {frame['function']})"


def _free_name(name: str, count: int) -> str:
    """Return the group of an input: `inputs` where there is one, else its own name."""
    if count == 1:
        return "inputs"
    return f"{name}_" if name == "inputs" else name
