"""One call of one layer while a model is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from forwardpass.importers.graph import GraphBuilder, TensorRef
from forwardpass.importers.input_constraints import InputConstraints
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.spec.limits import DEFAULT_LIMITS
from forwardpass.tensors import Array

_IGNORED = frozenset({"training", "mask", "name"})


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerCall:
    """A layer with what it is given; its values have the model's shapes, without the axis of rows.

    Attributes:
        kind: Its class.
        name: What its layers are called.
        config: What it was made with.
        arguments: What it is given, by place: values, numbers, or lists of them.
        options: The same by name.
        graph: The layers so far.
        constraints: What is known of the inputs.
        variables: Reads its weights, in Keras's order.
        vocabulary: Reads the words it was adapted to, or returns None.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]
    graph: GraphBuilder
    constraints: InputConstraints
    variables: Callable[[], list[Array]]
    vocabulary: Callable[[], list[str] | None]

    def check_options(self) -> None:
        """Refuse a call that asks for more than the usual.

        Raises:
            UnsupportedError: It does.
        """
        if self.options.get("training") is True:
            raise UnsupportedError("is called with training=True; call it without, as a served model is")
        for key, value in self.options.items():
            if value is not None and key not in _IGNORED and key not in self.config:
                raise UnsupportedError(f"is called with {key}={value!r}, which is not read; build it without")
        if self.options.get("mask") is not None:
            raise UnsupportedError("is called with a mask, which is not read; build it without")

    @property
    def input(self) -> TensorRef:
        """The only values it is given."""
        values = self.inputs
        if len(values) != 1 or len(self.arguments) != 1:
            raise UnsupportedError(f"is given {len(values)} tensors, where one is read")
        return values[0]

    @property
    def inputs(self) -> list[TensorRef]:
        """All values it is given."""
        return [value for value in _flat(self.arguments) if isinstance(value, TensorRef)]

    def get(self, key: str, default: Any, kind: type | tuple[type, ...]) -> Any:
        """Return a setting.

        Raises:
            UnsupportedError: It is of another kind.
        """
        value = self.config.get(key, default)
        if value is None:
            value = default
        if value is not None and not isinstance(value, kind):
            raise UnsupportedError(f"has {key}={value!r}, which Keras 3 does not write")
        return value

    def number(self, key: str, default: float) -> float:
        """Return a setting that is a number."""
        return float(self.get(key, default, (int, float)))

    def integer(self, key: str, default: int | None = None) -> int:
        """Return a setting that is a whole number, or a list of one."""
        value = self.config.get(key, default)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, int):
            raise UnsupportedError(f"has {key}={value!r}, where one whole number is read")
        return value

    def boolean(self, key: str, default: bool) -> bool:  # noqa: FBT001 - as `number` and its kin
        """Return a setting that is true or false."""
        return bool(self.get(key, default, bool))

    def text(self, key: str, default: str) -> str:
        """Return a setting that is a word."""
        return str(self.get(key, default, str))

    def require(self, key: str, value: Any, why: str) -> None:
        """Refuse a setting that is another than this.

        Raises:
            UnsupportedError: It is.
        """
        found = self.config.get(key, value)
        if found is not None and found != value:
            raise UnsupportedError(f"with {key}={found!r} {why}")

    def layer(
        self, reads: TensorRef | list[TensorRef], width: int | None = None, *, hint: str = "", **document: Any
    ) -> TensorRef:
        """Add a layer; see `GraphBuilder.layer`."""
        check_width(reads.size if isinstance(reads, TensorRef) else reads[0].size)
        check_width(width or 1)
        return self.graph.add_layer(f"{self.name}{hint}", reads, width, **document)

    def elementwise(self, values: TensorRef, document: Mapping[str, Any], hint: str = "") -> TensorRef:
        """Add a layer that computes each value by itself, and return its nodes in the same shape."""
        return self.layer(values, hint=hint, **document).reshape(*values.shape)


LayerReader: TypeAlias = Callable[[LayerCall], TensorRef]
"""Adds the layers of a call to the draft, and returns what it makes of its values."""


def check_width(count: int) -> None:
    """Refuse more values than a layer may have, before they are made.

    Raises:
        UnsupportedError: There are more.
    """
    if count > DEFAULT_LIMITS.max_width:
        raise UnsupportedError(f"has {count:,} values for each row; at most {DEFAULT_LIMITS.max_width:,} are allowed")


def along(values: TensorRef, numbers: Array, axis: int = -1) -> Array:
    """Return a number for each value, in C order, of those for each place of an axis.

    Raises:
        UnsupportedError: There are as many numbers for another axis.
    """
    axis = axis % len(values.shape)
    if numbers.shape != (values.shape[axis],):
        raise UnsupportedError(f"has {numbers.size} numbers for an axis of {values.shape[axis]}")
    shape = [1] * len(values.shape)
    shape[axis] = -1
    return np.broadcast_to(numbers.reshape(shape), values.shape).ravel()


def row_axis(axis: int, rank: int) -> int:
    """Return an axis of a tensor as one of a row's values, which lack the first.

    Args:
        axis: As Keras counts it; from the end where negative.
        rank: How many axes a row's values have.

    Raises:
        UnsupportedError: It is that of the rows, or there is none.
    """
    found = axis if axis >= 0 else axis + rank + 1
    if not 0 < found <= rank:
        raise UnsupportedError(f"works along axis {axis} of {rank + 1}; one of each row's own is read")
    return found - 1


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [one for part in value for one in _flat(part)]
    return [value]
