"""Finds sparsemax in a traced graph: what follows from a sort, and computes the same.

Implementations sort, add up and choose in ways of their own (Martins & Astudillo, 2016; Peters et al., 2019). So the
nodes after a sort are not compared with a pattern: they are computed, for numbers of their own, and the first result
that equals sparsemax of these numbers is replaced by a layer. The rows have every number of shares, from one to all.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import TensorRef
from forwardpass.importers.pytorch.integers import RowCount
from forwardpass.importers.pytorch.operations import changes_its_input, name_of
from forwardpass.importers.reference.formulas import project_onto_simplex
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.tensors import Array

_SORTS: Final = frozenset({"sort", "topk"})
_LARGEST: Final = frozenset({"max", "amax"})
"""What implementations subtract before they sort."""
_ROWS: Final = 48
_MAX_NODES: Final = 64
"""The most nodes after a sort that are computed."""
_MAX_NUMBERS: Final = 2**22
"""The most numbers that a sort is tried with; a larger one is not replaced."""
_LARGEST_SCALE: Final = 1e3
_TOLERANCE: Final = {"float32": 2e-6, "float64": 1e-13}
"""The tolerance, as a share of the largest number of a row, and of 1 where that is more."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Found:
    """A sparsemax in a graph.

    Attributes:
        node: The node whose value it is.
        axis: The axis of the tensor along which it is computed.
        inner: The nodes that nothing else reads.
    """

    node: Any
    axis: int
    inner: frozenset[Any]


def may_begin(node: Any) -> bool:
    """Return whether sparsemax may begin with a node: a sort, or a maximum with a sort soon after it."""
    name = _name(node)
    return name in _SORTS or (name in _LARGEST and any(_name(each) in _SORTS for each in _following(node)))


def _name(node: Any) -> str:
    try:
        is_call = node.op in {"call_function", "call_method"}
        return name_of(node.target).removeprefix("aten.") if is_call else ""
    except UnsupportedError:
        return ""


def find_sparsemax(node: Any, x: TensorRef, dtype: str, value_of: Callable[[Any], Any]) -> Found | None:
    """Return the sparsemax of a tensor that begins with a node, None where there is none.

    Args:
        node: The node, which reads the tensor first.
        x: The tensor; its rows are the first axis.
        dtype: The dtype of the program.
        value_of: Returns the value of a node that is known, and raises KeyError for others.
    """
    if type(x) is not TensorRef or not 1 <= x.size <= _MAX_NUMBERS // _ROWS:
        return None
    import torch

    probe = torch.from_numpy(_numbers((_ROWS, *x.shape)).astype(dtype))
    rows = probe.numpy().astype(np.float64)
    expected = {
        axis: np.moveaxis(project_onto_simplex(np.moveaxis(rows, axis, -1)), -1, axis) for axis in range(1, probe.ndim)
    }
    trial = _Trial(x=x, probe=probe, value_of=value_of)
    largest = np.abs(rows).max(axis=tuple(range(1, rows.ndim)), keepdims=True)
    tolerance = _TOLERANCE[dtype] * np.maximum(1.0, largest)
    for each in _following(node):
        value = trial.compute(each)
        axis = next((axis for axis, wanted in expected.items() if _equal(value, wanted, tolerance)), None)
        if axis is not None and trial.is_whole(each):
            return Found(node=each, axis=axis, inner=trial.inner(each))
    return None


class _Trial:
    """Computes the nodes of a graph that depend on one tensor and on constants, for numbers of its own.

    Args:
        x: The tensor.
        probe: Its numbers.
        value_of: As of `find_sparsemax`.
    """

    def __init__(self, *, x: TensorRef, probe: Any, value_of: Callable[[Any], Any]) -> None:
        self._x, self._probe, self._value_of = x, probe, value_of
        self._computed: dict[Any, Any] = {}
        self._changed: Any = None

    def compute(self, node: Any) -> Any:
        """Return the value of a node, None where it depends on something else."""
        import torch
        from torch.fx.node import map_arg

        if node.op not in {"call_function", "call_method"}:
            return None
        try:
            args, options = map_arg(node.args, self._given), map_arg(node.kwargs, self._given)
            if changes_its_input(name_of(node.target), node.kwargs) and node.args[0] not in self._computed:
                if args[0] is not self._probe or self._changed is not None:
                    return None
                self._changed = node
            with torch.no_grad():
                call = getattr(args[0], node.target) if node.op == "call_method" else node.target
                value = call(*args[1:] if node.op == "call_method" else args, **options)
        except Exception:  # noqa: BLE001 - what cannot be computed by itself is no part of it
            return None
        if _name(node) == "topk" and value[0].numel() < args[0].numel():
            return None  # The largest alone do not say the threshold of every row.
        self._computed[node] = value
        return value

    def is_whole(self, node: Any) -> bool:
        """Return whether a node depends on a sort, and nothing else on numbers that were changed on the way."""
        needed = self._needed(node)
        if not any(_name(each) in _SORTS for each in needed):
            return False
        if self._changed is None:
            return True
        tensor, known = self._changed.args[0], {*needed, node}
        after = set(_following(self._changed, most=None))
        return self._changed in needed and all(each in known for each in tensor.users if each in after)

    def inner(self, node: Any) -> frozenset[Any]:
        """Return the nodes that a node is computed from and that nothing else reads, and those that check them."""
        inner = set(self._needed(node))
        idle = {user for each in inner for user in each.users if not user.users and user.op != "output"} - {node}
        while outer := {each for each in inner if not set(each.users) <= inner | idle | {node}}:
            inner -= outer
        return frozenset(inner | {each for each in idle if set(each.all_input_nodes) <= inner})

    def _given(self, node: Any) -> Any:
        import torch

        if node in self._computed:
            return self._computed[node]
        value = self._value_of(node)
        if value is self._x:
            return self._probe
        if isinstance(value, torch.Tensor):
            return value.clone()
        if isinstance(value, RowCount):
            return _ROWS * value.factor
        if value is None or isinstance(value, int | float | torch.dtype | torch.device):
            return value
        raise KeyError(node)

    def _needed(self, node: Any) -> frozenset[Any]:
        found: set[Any] = set()
        left = [node]
        while left:
            new = {each for each in left.pop().all_input_nodes if each in self._computed and each not in found}
            found |= new
            left += new
        return frozenset(found)


def _numbers(shape: tuple[int, ...]) -> Array:
    """Return random rows, some in ties and one of zeros; every number has a share in some, and one alone in others."""
    numbers = np.random.default_rng(0).standard_normal(shape)
    numbers[1::4] = np.round(numbers[1::4], 1)
    smallest = 0.1 / max(shape[1:])  # every number has a share
    scales = np.concatenate([[0.0], np.geomspace(smallest, _LARGEST_SCALE, shape[0] - 1)])
    numbers *= scales.reshape(-1, *[1] * (len(shape) - 1))
    return numbers


def _following(node: Any, most: int | None = _MAX_NODES) -> Iterator[Any]:
    """Yield a node and those after it, as they stand in the graph."""
    for _ in range(len(node.graph.nodes) if most is None else most):
        if node.op in {"output", "root"}:
            return
        yield node
        node = node.next


def _equal(value: Any, wanted: Array, tolerance: Array) -> bool:
    if tuple(getattr(value, "shape", ())) != wanted.shape or not value.dtype.is_floating_point:
        return False
    return bool((np.abs(value.numpy() - wanted) <= tolerance).all())
