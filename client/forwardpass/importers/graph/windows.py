"""Pooling: windows along the last axes of a tensor, each reduced to one element."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce as fold
from math import prod

import numpy as np

from forwardpass.importers.graph.operations import LayerOperations
from forwardpass.importers.graph.tensor_ref import Indices, TensorRef
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.spec.limits import DEFAULT_LIMITS


@dataclass(frozen=True, kw_only=True, slots=True)
class Windows:
    """Windows along the last axes of a tensor, as ONNX's MaxPool and AveragePool describe them.

    Attributes:
        kernel: The elements of a window along each axis.
        strides: The distance between windows along each axis.
        pads: The places before and after each axis.
        dilations: The distance between the elements of a window along each axis.
        ceil: Whether a last window may reach over the end, where it begins before it.
    """

    kernel: Sequence[int]
    strides: Sequence[int]
    pads: Sequence[tuple[int, int]]
    dilations: Sequence[int]
    ceil: bool = False

    def __post_init__(self) -> None:
        """Check the numbers by themselves.

        Raises:
            UnsupportedError: The windows are too large or do not move forward.
        """
        if min(*self.kernel, *self.strides, *self.dilations) < 1 or min(map(min, self.pads)) < 0:
            raise UnsupportedError("has a kernel, a stride or a dilation below 1, or padding below 0")
        if max(self.kernel) > DEFAULT_LIMITS.max_width:
            raise UnsupportedError(f"has windows of {list(self.kernel)} places, which are too large")

    @property
    def extents(self) -> list[int]:
        """The places from the first element of a window to its last, along each axis."""
        return [(size - 1) * gap + 1 for size, gap in zip(self.kernel, self.dilations, strict=True)]

    def counts(self, sizes: Sequence[int]) -> list[int]:
        """Return the number of windows along each axis.

        Raises:
            UnsupportedError: There are none.
        """
        known = zip(sizes, self.pads, self.extents, self.strides, strict=True)
        found = []
        for size, (before, after), extent, stride in known:
            room = size + before + after - extent
            count = (-(-room // stride) if self.ceil else room // stride) + 1
            found.append(count - (self.ceil and (count - 1) * stride >= size + before))
        if min(found) < 1:
            raise UnsupportedError(f"has windows of {list(self.kernel)} that are wider than {list(sizes)} places")
        return found

    def along(self, sizes: Sequence[int]) -> list[Indices]:
        """Return the places of each window along each axis, `(windows, kernel)`; those outside are not of the axis."""
        known = zip(self.counts(sizes), self.strides, self.kernel, self.dilations, self.pads, strict=True)
        return [
            np.arange(count)[:, None] * stride + np.arange(size) * gap - before
            for count, stride, size, gap, (before, _) in known
        ]


def pool(
    graph: LayerOperations, x: TensorRef, windows: Windows, reduce: str, *, include_pads: bool = False
) -> TensorRef:
    """Reduce each window along the last axes by `max` or `mean`, of the places inside.

    Args:
        graph: The builder.
        x: `(*others, *sizes)`.
        windows: The windows.
        reduce: The reduction.
        include_pads: Whether a mean is also of the zeros in the padding.
    """
    axes = len(windows.kernel)
    if len(x.shape) < axes:
        raise UnsupportedError(f"gets rows of shape {list(x.shape)}; {axes} axes are needed")
    sizes = x.shape[len(x.shape) - axes :]
    graph.check_windows(x.size // prod(sizes) * prod(windows.counts(sizes)), prod(windows.kernel))
    along = windows.along(sizes)
    inside = [(places >= 0) & (places < size) for places, size in zip(along, sizes, strict=True)]
    if not all(each.any(axis=1).all() for each in inside):
        raise UnsupportedError("has a window that is all padding")
    if reduce == "mean" and not all(each.all() for each in inside):
        return _averaged(graph, x, windows, inside, include_pads=include_pads)
    # A repeated place changes no maximum.
    last = [np.where(each, places, -1).max(axis=1, keepdims=True) for each, places in zip(inside, along, strict=True)]
    full = [np.where(each, places, one) for each, places, one in zip(inside, along, last, strict=True)]
    return pool_places(graph, x, full, reduce)


def pool_places(graph: LayerOperations, x: TensorRef, along: Sequence[Indices], reduce: str) -> TensorRef:
    """Reduce windows of places along each of the last axes, `(windows, size)` for each axis."""
    axes = len(along)
    sizes, others = x.shape[len(x.shape) - axes :], x.shape[: len(x.shape) - axes]
    graph.check_windows(prod(others) * prod(map(len, along)), prod(places.shape[1] for places in along))
    whole: Indices = np.arange(prod(others)).reshape(-1, 1)
    for places, size in zip(along, sizes, strict=True):
        every = whole[:, None, :, None] * size + places[None, :, None, :]
        whole = every.reshape(len(whole) * len(places), -1)
    return graph.pool(x, whole, reduce).reshape(*others, *map(len, along))


def _averaged(
    graph: LayerOperations, x: TensorRef, windows: Windows, inside: Sequence[Indices], *, include_pads: bool
) -> TensorRef:
    """Sum each window as a convolution does, and divide by the number of its places."""
    axes = len(windows.kernel)
    sizes, others = x.shape[len(x.shape) - axes :], x.shape[: len(x.shape) - axes]
    counts = [len(each) for each in inside]
    known = zip(windows.pads, windows.extents, windows.strides, counts, sizes, strict=True)
    # A last window that reaches over the end has zeros there.
    pads = [
        (before, max((count - 1) * stride + extent - size - before, 0))
        for (before, _), extent, stride, count, size in known
    ]
    if include_pads:
        padded = zip(windows.along(sizes), windows.pads, sizes, strict=True)
        inside = [places < size + after for places, (_, after), size in padded]
    channels = prod(others)
    with graph.suffixed("sums"):
        sums = graph.conv(
            x.reshape(channels, *sizes),
            np.ones((channels, 1, *windows.kernel)),
            None,
            strides=windows.strides,
            pads=pads,
            dilations=windows.dilations,
            group=channels,
        )
    shares = 1 / fold(np.multiply.outer, [each.sum(axis=1) for each in inside])
    return graph.scale_shift(sums.reshape(*others, *counts), shares, None)
