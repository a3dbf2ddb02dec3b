"""One call of one layer while a model is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from forwardpass.importers.drafts import Draft, Values
from forwardpass.importers.keras.refused import Refused
from forwardpass.importers.notes import InputNotes
from forwardpass.spec.limits import DEFAULT_LIMITS
from forwardpass.tensors import Array

_IGNORED = frozenset({"training", "mask", "name"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A layer with what it is given; its values have the model's shapes, without the axis of rows.

    Attributes:
        kind: Its class.
        name: What its layers are called.
        config: What it was made with.
        arguments: What it is given, by place: values, numbers, or lists of them.
        options: The same by name.
        draft: The layers so far.
        notes: What is known of the inputs.
        variables: Reads its weights, in Keras's order.
        vocabulary: Reads the words it was adapted to, or returns None.
    """

    kind: str
    name: str
    config: Mapping[str, Any]
    arguments: tuple[Any, ...]
    options: Mapping[str, Any]
    draft: Draft
    notes: InputNotes
    variables: Callable[[], list[Array]]
    vocabulary: Callable[[], list[str] | None]

    def check_options(self) -> None:
        """Refuse a call that asks for more than the usual.

        Raises:
            Refused: It does.
        """
        if self.options.get("training") is True:
            raise Refused("is called with training=True; call it without, as a served model is")
        for key, value in self.options.items():
            if value is not None and key not in _IGNORED and key not in self.config:
                raise Refused(f"is called with {key}={value!r}, which is not read; build it without")
        if self.options.get("mask") is not None:
            raise Refused("is called with a mask, which is not read; build it without")

    @property
    def values(self) -> Values:
        """The only values it is given."""
        values = self.several
        if len(values) != 1 or len(self.arguments) != 1:
            raise Refused(f"is given {len(values)} tensors, where one is read")
        return values[0]

    @property
    def several(self) -> list[Values]:
        """All values it is given."""
        return [value for value in _flat(self.arguments) if isinstance(value, Values)]

    def get(self, key: str, default: Any, kind: type | tuple[type, ...]) -> Any:
        """Return a setting.

        Raises:
            Refused: It is of another kind.
        """
        value = self.config.get(key, default)
        if value is None:
            value = default
        if value is not None and not isinstance(value, kind):
            raise Refused(f"has {key}={value!r}, which Keras 3 does not write")
        return value

    def number(self, key: str, default: float) -> float:
        """Return a setting that is a number."""
        return float(self.get(key, default, (int, float)))

    def whole(self, key: str, default: int | None = None) -> int:
        """Return a setting that is a whole number, or a list of one."""
        value = self.config.get(key, default)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if not isinstance(value, int):
            raise Refused(f"has {key}={value!r}, where one whole number is read")
        return value

    def flag(self, key: str, default: bool) -> bool:  # noqa: FBT001 - as `number` and its kin
        """Return a setting that is true or false."""
        return bool(self.get(key, default, bool))

    def word(self, key: str, default: str) -> str:
        """Return a setting that is a word."""
        return str(self.get(key, default, str))

    def only(self, key: str, value: Any, why: str) -> None:
        """Refuse a setting that is another than this.

        Raises:
            Refused: It is.
        """
        found = self.config.get(key, value)
        if found is not None and found != value:
            raise Refused(f"with {key}={found!r} {why}")

    def layer(
        self, reads: Values | list[Values], width: int | None = None, *, hint: str = "", **document: Any
    ) -> Values:
        """Add a layer; see `Draft.layer`."""
        check_width(reads.width if isinstance(reads, Values) else reads[0].width)
        check_width(width or 1)
        return self.draft.layer(f"{self.name}{hint}", reads, width, **document)

    def each(self, values: Values, document: Mapping[str, Any], hint: str = "") -> Values:
        """Add a layer that computes each value by itself, and return its nodes in the same shape."""
        return self.layer(values, hint=hint, **document).reshaped(*values.shape)


Read: TypeAlias = Callable[[Step], Values]
"""Adds the layers of a step to the draft, and returns what it makes of its values."""


def check_width(count: int) -> None:
    """Refuse more values than a layer may have, before they are made.

    Raises:
        Refused: There are more.
    """
    if count > DEFAULT_LIMITS.max_width:
        raise Refused(f"has {count:,} values for each row; at most {DEFAULT_LIMITS.max_width:,} are allowed")


def along(values: Values, numbers: Array, axis: int = -1) -> Array:
    """Return a number for each value, in C order, of those for each place of an axis.

    Raises:
        Refused: There are as many numbers for another axis.
    """
    axis = axis % len(values.shape)
    if numbers.shape != (values.shape[axis],):
        raise Refused(f"has {numbers.size} numbers for an axis of {values.shape[axis]}")
    shape = [1] * len(values.shape)
    shape[axis] = -1
    return np.broadcast_to(numbers.reshape(shape), values.shape).ravel()


def row_axis(axis: int, rank: int) -> int:
    """Return an axis of a tensor as one of a row's values, which lack the first.

    Args:
        axis: As Keras counts it; from the end where negative.
        rank: How many axes a row's values have.

    Raises:
        Refused: It is that of the rows, or there is none.
    """
    found = axis if axis >= 0 else axis + rank + 1
    if not 0 < found <= rank:
        raise Refused(f"works along axis {axis} of {rank + 1}; one of each row's own is read")
    return found - 1


def _flat(value: Any) -> list[Any]:
    if isinstance(value, list | tuple):
        return [one for part in value for one in _flat(part)]
    return [value]
