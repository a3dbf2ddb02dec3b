"""Operations that arrange the last axes: windows, triangles, diagonals, pixels, and stacks of columns."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import Indices, LayerOperations, TensorRef
from forwardpass.importers.pytorch.elementwise import join, sub
from forwardpass.importers.pytorch.reshaping import cat, flip, narrow, pad, unsqueeze
from forwardpass.importers.pytorch.rows_axis import MIXES, WholeTensor, arranged, whole
from forwardpass.importers.unsupported import UnsupportedError


def _behind_rows(x: TensorRef, axes: int) -> WholeTensor:
    """Return a tensor whose last axes are all behind that of the rows."""
    known = whole(x)
    if known.rows >= known.rank - axes:
        raise UnsupportedError(f"needs {axes} axes behind that of the rows")
    return known


def pixel_shuffle(graph: LayerOperations, x: TensorRef, upscale_factor: int) -> TensorRef:
    """Make pixels of channels (Shi et al., 2016)."""
    known, factor = _behind_rows(x, 3), upscale_factor
    *others, channels, height, width = known.index.shape
    parts = known.index.reshape(*others, channels // factor**2, factor, factor, height, width)
    turned = np.moveaxis(parts, (-4, -3), (-3, -1))
    return known.arranged(turned.reshape(*others, channels // factor**2, height * factor, width * factor))


def pixel_unshuffle(graph: LayerOperations, x: TensorRef, downscale_factor: int) -> TensorRef:
    """Make channels of pixels."""
    known, factor = _behind_rows(x, 3), downscale_factor
    *others, channels, height, width = known.index.shape
    parts = known.index.reshape(*others, channels, height // factor, factor, width // factor, factor)
    turned = np.moveaxis(parts, (-3, -1), (-4, -3))
    return known.arranged(turned.reshape(*others, channels * factor**2, height // factor, width // factor))


def channel_shuffle(graph: LayerOperations, x: TensorRef, groups: int) -> TensorRef:
    """Take the channels of all groups in turn (Zhang et al., 2018)."""
    known = whole(x)
    axis = known.axis(1)
    parts = known.index.reshape(*known.index.shape[:axis], groups, -1, *known.index.shape[axis + 1 :])
    return known.arranged(parts.swapaxes(axis, axis + 1).reshape(known.index.shape))


def unfold(graph: LayerOperations, x: TensorRef, dimension: int, size: int, step: int) -> TensorRef:
    """Return the windows of an axis, whose elements become the last axis: `tensor.unfold`."""
    known = whole(x)
    axis = known.axis(dimension)
    windows = np.lib.stride_tricks.sliding_window_view(known.index, size, axis)
    return known.arranged(np.take(windows, range(0, windows.shape[axis], step), axis))


def columns_of_image(
    graph: LayerOperations,
    x: TensorRef,
    kernel_size: Any,
    dilation: Any = 1,
    padding: Any = 0,
    stride: Any = 1,
) -> TensorRef:
    """Return the windows of an image as columns: `functional.unfold`."""
    sizes, gaps, pads, steps = (_pair(each) for each in (kernel_size, dilation, padding, stride))
    padded = pad(graph, x, [pads[1], pads[1], pads[0], pads[0]]) if any(pads) else x
    known = _behind_rows(padded, 3)
    extents = [(size - 1) * gap + 1 for size, gap in zip(sizes, gaps, strict=True)]
    windows = np.lib.stride_tricks.sliding_window_view(known.index, extents, (-2, -1))
    windows = windows[..., :: steps[0], :: steps[1], :: gaps[0], :: gaps[1]]
    *others, channels, down, across, height, width = windows.shape
    turned = np.moveaxis(windows, (-4, -3), (-2, -1))
    return known.arranged(turned.reshape(*others, channels * height * width, down * across))


def _pair(number: Any) -> list[int]:
    return [number] * 2 if isinstance(number, int) else list(number) * (2 // len(number))


def _triangle(part: Callable[..., Indices]) -> Callable[..., TensorRef]:
    def apply(graph: LayerOperations, x: TensorRef, diagonal: int = 0) -> TensorRef:
        known = _behind_rows(x, 2)
        kept = part(np.ones(known.index.shape[-2:], dtype=bool), diagonal)
        zero = graph.constants(known.ref, np.zeros(1))
        sources, (index, (filled,)) = graph.side_by_side([TensorRef(sources=x.sources, index=known.index), zero])
        cut = np.where(kept, index, filled)
        return arranged(TensorRef(sources=sources, index=cut), cut, known.rows, known.before, known.after)

    return apply


def diagonal(graph: LayerOperations, x: TensorRef, offset: int = 0, dim1: int = 0, dim2: int = 1) -> TensorRef:
    """Return the diagonals of two axes as the last axis."""
    known = whole(x)
    axes = known.axis(dim1), known.axis(dim2)
    return known.without(axes, np.diagonal(known.index, offset, *axes))


def difference(graph: LayerOperations, x: TensorRef, n: int = 1, dim: int = -1) -> TensorRef:
    """Subtract from each element of an axis the one before it, n times."""
    for _ in range(n):
        length = whole(x).index.shape[whole(x).axis(dim)]
        x = join(graph, sub, narrow(graph, x, dim, 1, length - 1), narrow(graph, x, dim, 0, length - 1))
    return x


def _columns(axis: int) -> Callable[..., TensorRef]:
    """Return an operation that joins tensors along an axis, which those with fewer axes get."""

    def apply(graph: LayerOperations, tensors: Sequence[Any]) -> TensorRef:
        if not all(isinstance(each, TensorRef) for each in tensors):
            raise UnsupportedError("joins constants; use `torch.cat`")
        wide = list(tensors)
        for place, each in enumerate(wide):
            while whole(wide[place]).rank <= axis:
                if whole(each).rows != 0:
                    raise UnsupportedError(MIXES)
                wide[place] = unsqueeze(graph, wide[place], -1)
        return cat(graph, wide, axis)

    return apply


ARRANGING: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "pixel_shuffle": pixel_shuffle,
        "pixel_unshuffle": pixel_unshuffle,
        **dict.fromkeys(("channel_shuffle", "native_channel_shuffle"), channel_shuffle),
        "unfold": unfold,
        "im2col": columns_of_image,
        "tril": _triangle(np.tril),
        "triu": _triangle(np.triu),
        "diagonal": diagonal,
        "diff": difference,
        "fliplr": lambda graph, x: flip(graph, x, 1),
        "column_stack": _columns(1),
        "hstack": lambda graph, tensors: cat(graph, tensors, 1),
        "dstack": _columns(2),
    }
)
"""The function for each operation, by its name in torch."""
