"""One call of one Keras layer."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, TypeAlias

import numpy as np

from forwardpass.importers.graph import LayerOperations, TensorRef
from forwardpass.importers.input_constraints import InputConstraints
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.spec.limits import DEFAULT_LIMITS
from forwardpass.tensors import Array

_IGNORED = frozenset({"training", "mask", "name"})
_READ = frozenset(
    {
        *("initial_state", "return_attention_scores", "use_causal_mask", "attention_mask", "value", "key"),
        *("bias", "scale", "constant_values"),
    }
)
"""Options that the reader of a layer reads."""
_BY_ELEMENT = frozenset({"scale", "shift", "mean", "variance", "gamma", "beta"})
"""The arrays of layers that have a number for each element."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerCall:
    """A layer with the tensors and options of one call; tensors have the model's shapes without the axis of the rows.

    Attributes:
        kind: The name of its class.
        name: The preferred name of its layers.
        config: Its configuration.
        arguments: The positional arguments: tensors, numbers, or lists of them.
        options: The keyword arguments.
        graph: The builder of the layers.
        constraints: The constraints on the inputs.
        variables: Reads its weights in the order of Keras; those of a layer within it by their path there.
        vocabulary: Reads its adapted vocabulary, or returns None.
        whole: The tensors among the arguments that are whole numbers, as far as the file says so.
        masks: Compute the mask of each tensor among the arguments, 1 for a step that counts, else 0; None for none.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]
    graph: LayerOperations
    constraints: InputConstraints
    variables: Callable[..., list[Array]]
    vocabulary: Callable[[], list[str] | None]
    whole: tuple[TensorRef, ...] = ()
    masks: tuple[Callable[[], TensorRef] | None, ...] = ()

    def check_options(self) -> None:
        """Reject a call with options that change the computation.

        Raises:
            UnsupportedError: It does.
        """
        # Layers that change pictures at random have True as their default, which `predict` sets to False.
        if self.options.get("training") is True and not self.kind.startswith("Random"):
            raise UnsupportedError("is called with training=True; call it without, as a served model is")
        for key, value in self.options.items():
            if value is not None and key not in _IGNORED | _READ and key not in self.config:
                raise UnsupportedError(f"is called with {key}={value!r}, which is not supported; build it without")

    @property
    def input(self) -> TensorRef:
        """The only tensor argument."""
        values = self.inputs
        if len(values) != 1 or len(self.arguments) != 1:
            raise UnsupportedError(f"is given {len(values)} tensors; one is needed")
        return values[0]

    @property
    def first(self) -> TensorRef:
        """The first argument, a tensor; others may be constants."""
        if not self.arguments or not isinstance(self.arguments[0], TensorRef):
            raise UnsupportedError("is given another thing than a tensor of the model at first")
        return self.arguments[0]

    @property
    def inputs(self) -> list[TensorRef]:
        """All tensor arguments."""
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
        """Return a numeric setting."""
        return float(self.get(key, default, (int, float)))

    def integer(self, key: str, default: int | None = None) -> int:
        """Return an integer setting, given as a number or a list of one."""
        value = self.config.get(key, default)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, int):
            raise UnsupportedError(f"has {key}={value!r}, where one integer is needed")
        return value

    def integers(self, key: str, count: int, default: int | None = None) -> list[int]:
        """Return an integer setting for each of some axes, given as a list of them or as one number for all."""
        value = self.config.get(key, default)
        numbers = [value] * count if isinstance(value, int) else value
        if not isinstance(numbers, list) or len(numbers) != count or not all(isinstance(one, int) for one in numbers):
            raise UnsupportedError(f"has {key}={value!r}, where {count} integers are needed")
        return numbers

    def boolean(self, key: str, default: bool) -> bool:  # noqa: FBT001 - as `number` and its kin
        """Return a boolean setting."""
        return bool(self.get(key, default, bool))

    def text(self, key: str, default: str) -> str:
        """Return a text setting."""
        return str(self.get(key, default, str))

    def require(self, key: str, value: Any, why: str) -> None:
        """Reject any other value of a setting.

        Raises:
            UnsupportedError: It is.
        """
        found = self.config.get(key, value)
        if found is not None and found != value:
            raise UnsupportedError(f"with {key}={found!r} {why}")

    def layer(
        self, reads: TensorRef | list[TensorRef], width: int | None = None, *, hint: str = "", **document: Any
    ) -> TensorRef:
        """Add a layer; see `GraphBuilder.add_layer`."""
        check_width(reads.size if isinstance(reads, TensorRef) else reads[0].size)
        check_width(width or 1)
        return self.graph.add_layer(f"{self.name}{hint}", reads, width, **document)

    def elementwise(self, values: TensorRef, document: Mapping[str, Any], hint: str = "") -> TensorRef:
        """Add a layer that computes each element by itself, and return its nodes in the same shape.

        Args:
            values: The tensor. If it has all nodes of one layer in another order, the layer keeps the order of these.
            document: The fields of the layer; its numbers for each element are in C order.
            hint: The end of the layer's name.
        """
        with self.graph.suffixed(hint.removeprefix("_")):
            given = {
                key: (value.reshape(values.shape) if key in _BY_ELEMENT else value.tolist())
                if isinstance(value, np.ndarray)
                else value
                for key, value in document.items()
            }
            return self.graph.by_element(values, **given)


LayerReader: TypeAlias = Callable[[LayerCall], TensorRef | list[TensorRef]]
"""Adds the layers of a call, and returns its output, or its outputs."""


def check_width(count: int) -> None:
    """Reject more values than a layer may have, before they are made.

    Raises:
        UnsupportedError: There are more.
    """
    if count > DEFAULT_LIMITS.max_width:
        raise UnsupportedError(f"has {count:,} values for each row; at most {DEFAULT_LIMITS.max_width:,} are allowed")


def along(values: TensorRef, numbers: Array, axis: int = -1) -> Array:
    """Repeat numbers along one axis for each value, in C order.

    Raises:
        UnsupportedError: The axis has another size.
    """
    axis = axis % len(values.shape)
    if numbers.shape != (values.shape[axis],):
        raise UnsupportedError(f"has {numbers.size} numbers for an axis of {values.shape[axis]}")
    shape = [1] * len(values.shape)
    shape[axis] = -1
    return np.broadcast_to(numbers.reshape(shape), values.shape).ravel()


def by_node(values: TensorRef, numbers: Array) -> Array:
    """Return numbers that have the elements of a permutation along their last axis, in the order of the nodes."""
    ordered = np.empty_like(numbers)
    ordered[..., values.columns] = numbers
    return ordered


def row_axis(axis: int, rank: int) -> int:
    """Return the axis of one row that an axis of a Keras tensor is.

    Args:
        axis: The axis as Keras counts it, from the end where negative.
        rank: The number of axes of one row.

    Raises:
        UnsupportedError: It is the axis of the rows, or absent.
    """
    found = axis if axis >= 0 else axis + rank + 1
    if not 0 < found <= rank:
        raise UnsupportedError(f"works along axis {axis} of {rank + 1}; one of each row's own is read")
    return found - 1


def row_axes(call: LayerCall, key: str) -> list[int]:
    """Return the axes of one row that a setting names, by one integer or several.

    Raises:
        UnsupportedError: It names the axis of the rows, or none, so that all rows would be read together.
    """
    value, rank = call.config.get(key), len(call.first.shape)
    if value is None:
        raise UnsupportedError(f"works along all axes, that of the rows too; name the axes, `{key}=1` and so on")
    axes = value if isinstance(value, list) else [value]
    if not all(type(axis) is int for axis in axes):
        raise UnsupportedError(f"has {key}={value!r}, where integers are needed")
    found = [row_axis(axis, rank) for axis in axes]
    if len(set(found)) < len(found):
        raise UnsupportedError(f"has {key}={value!r}, which names an axis twice")
    return found


def layer_axes(call: LayerCall) -> list[int]:
    """Return the axes of one row that a layer works along, which is the last one where it has no setting `axis`."""
    return row_axes(call, "axis") if "axis" in call.config else [len(call.first.shape) - 1]


def factor_names(call: LayerCall) -> list[str]:
    """Return the factors that a normalization has, in the order in which Keras stores them."""
    return [name for name, key in (("gamma", "scale"), ("beta", "center")) if call.boolean(key, True)]


def check_ranks(tensors: Sequence[TensorRef]) -> None:
    """Reject tensors that broadcast the rows of one over another axis.

    Raises:
        UnsupportedError: They have several numbers of axes.
    """
    if len({len(tensor.shape) for tensor in tensors}) > 1:
        shown = " and ".join(str(["rows", *tensor.shape]).replace("'", "") for tensor in tensors)
        raise UnsupportedError(f"combines rows with other rows, of shapes {shown}; reshape one of them")


def check_broadcast(*shapes: tuple[int, ...]) -> None:
    """Reject shapes that broadcast to more values than a layer may have, or to no shape, before they do.

    Raises:
        UnsupportedError: They do.
    """
    try:
        check_width(prod(np.broadcast_shapes(*shapes)))
    except ValueError:
        shown = " and ".join(str(list(shape)) for shape in shapes)
        raise UnsupportedError(f"gets shapes that do not fit: {shown}") from None


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [one for part in value for one in _flat(part)]
    return [value]
