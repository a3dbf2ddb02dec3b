"""The geometry of a convolution: the numbers that a layer declares, and the sizes that follow from them.

The terms are those of ONNX's operator Conv (https://onnx.ai/onnx/operators/onnx__Conv.html). Nothing here allocates
anything of a declared size.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Final

from forwardpass.spec.faults import found
from forwardpass.spec.fields.base import Problem
from forwardpass.spec.limits import DEFAULT_LIMITS

MAX_AXES: Final = 3
"""The most axes that a window moves along."""

MAX_NUMBER: Final = DEFAULT_LIMITS.max_width
"""The largest number of a geometry."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """The geometry of a convolution over `axes` axes.

    Attributes:
        input_shape: The number of channels, and the size of each axis.
        kernel_shape: The size of the kernel along each axis.
        strides: The distance between neighbouring windows along each axis.
        pads: The zeros before each axis, then those after each axis.
        dilations: The distance between neighbouring elements of a window along each axis.
        input_dilations: The distance between neighbouring values of the input along each axis, with zeros between them.
        group: The number of groups of channels, each of which has filters of its own.
    """

    input_shape: tuple[int, ...]
    kernel_shape: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    dilations: tuple[int, ...]
    input_dilations: tuple[int, ...]
    group: int = 1

    @property
    def axes(self) -> int:
        """The number of axes that a window moves along."""
        return len(self.kernel_shape)

    @property
    def inputs(self) -> int:
        """The number of values that the layer reads."""
        return prod(self.input_shape)

    @property
    def padded_shape(self) -> tuple[int, ...]:
        """The number of channels, and the size of each axis with its padding and the zeros between its values."""
        channels, *sizes = self.input_shape
        known = zip(sizes, self.input_dilations, self.pads, self.pads[self.axes :], strict=False)
        return channels, *((size - 1) * gap + 1 + before + after for size, gap, before, after in known)

    @property
    def extents(self) -> tuple[int, ...]:
        """The size of a window along each axis, with the gaps that dilations leave."""
        return tuple((size - 1) * gap + 1 for size, gap in zip(self.kernel_shape, self.dilations, strict=True))

    @property
    def output_sizes(self) -> tuple[int, ...]:
        """The number of windows along each axis; 0 or less where not one fits."""
        known = zip(self.padded_shape[1:], self.extents, self.strides, strict=True)
        return tuple((size - extent) // stride + 1 for size, extent, stride in known)

    @property
    def positions(self) -> int:
        """The number of windows, and of nodes of each filter."""
        return prod(self.output_sizes)

    @property
    def window(self) -> int:
        """The number of values in a window, and of weights of each filter."""
        return self.input_shape[0] // self.group * prod(self.kernel_shape)


FILLS: Final[Mapping[str, int]] = {"strides": 1, "pads": 0, "dilations": 1, "input_dilations": 1}
"""The number of each axis in a list that is left out."""

_LEAST: Final[Mapping[str, int]] = {"input_shape": 1, "kernel_shape": 1, **FILLS}


def integers(value: object, least: int, most: int = MAX_NUMBER) -> list[int] | str:
    """Read a list of integers.

    Returns:
        The integers, or why the value is no list of integers from `least` to `most`.
    """
    if not isinstance(value, list | tuple):
        return f"is {found(value)}; must be a list of integers"
    if not 0 < len(value) <= 2 * MAX_AXES:
        return f"has {len(value)} integers; must have from 1 to {2 * MAX_AXES}"
    numbers = []
    for index, number in enumerate(value):
        whole = integer(number, least, most)
        if isinstance(whole, str):
            return f"has at index {index} {whole}"
        numbers.append(whole)
    return numbers


def integer(value: object, least: int, most: int = MAX_NUMBER) -> int | str:
    """Return an integer, or why the value is no integer from `least` to `most`."""
    if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
        return value
    return f"{found(value)}; must be an integer from {least} to {most}"


def read_geometry(document: Mapping[Any, object]) -> Geometry | None:
    """Return the geometry that a layer's document declares, or None where something is wrong with it."""
    given = {key: integers(document.get(key), least) for key, least in _LEAST.items() if document.get(key) is not None}
    group = integer(document.get("group", 1), 1)
    if isinstance(group, str) or any(isinstance(numbers, str) for numbers in given.values()):
        return None
    lists = {key: tuple(numbers) for key, numbers in given.items() if not isinstance(numbers, str)}
    if not {"input_shape", "kernel_shape"} <= lists.keys():
        return None
    filled = filled_lists(lists)
    if next(length_problems(filled), None) is not None:
        return None
    geometry = Geometry(group=group, **filled)
    return geometry if next(problems(geometry), None) is None else None


def filled_lists(given: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Return the lists of a geometry with those that are left out filled."""
    axes = len(given["kernel_shape"])
    fills = {key: (number,) * (axes * (2 if key == "pads" else 1)) for key, number in FILLS.items()}
    return {key: given.get(key, fills.get(key, ())) for key in _LEAST}


def length_problems(lists: Mapping[str, tuple[int, ...]]) -> Iterator[Problem]:
    """Yield each list of another length than the kernel needs."""
    axes = len(lists["kernel_shape"])
    if axes > MAX_AXES:
        yield ("kernel_shape",), f"has {axes} sizes; must have from 1 to {MAX_AXES}, one for each axis"
        return
    needed = {
        "input_shape": (axes + 1, "the channels and one for each axis of the kernel"),
        "strides": (axes, "one for each axis of the kernel"),
        "pads": (2 * axes, "one before each axis of the kernel, then one after each"),
        "dilations": (axes, "one for each axis of the kernel"),
        "input_dilations": (axes, "one for each axis of the kernel"),
    }
    for key, (length, what) in needed.items():
        if len(lists[key]) != length:
            yield (key,), f"has {len(lists[key])} numbers; must have {length}, {what}"


def problems(geometry: Geometry) -> Iterator[Problem]:
    """Yield what is wrong between lists of the right lengths."""
    channels = geometry.input_shape[0]
    if channels % geometry.group:
        yield ("group",), f"is {geometry.group}; must divide the {channels} channels"
    known = zip(geometry.padded_shape[1:], geometry.extents, geometry.output_sizes, strict=True)
    for axis, (size, extent, windows) in enumerate(known):
        if windows < 1:
            what = f"spans {extent} values along axis {axis}, which has {size} with its padding"
            yield ("kernel_shape",), f"{what}; pad the axis, or make the kernel smaller"
