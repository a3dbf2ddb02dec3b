"""Operations that read several elements of a row together: sums, means, pooling, softmax."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import Indices, LayerOperations, TensorRef, places_of
from forwardpass.importers.pytorch.elementwise import maximum, minimum
from forwardpass.importers.pytorch.reshaping import axes_of, axis_of, chunk
from forwardpass.importers.unsupported import UnsupportedError

_RAGGED: Final = "has windows of different sizes, for which a mean is not the same; choose sizes that divide the length"


def pool_axes(
    graph: LayerOperations, x: TensorRef, axes: Sequence[int], reduce: str, *, keepdim: bool = False
) -> TensorRef:
    """Reduce a tensor along some axes."""
    if not axes:
        raise UnsupportedError("reduces no axis")
    places = places_of(x.shape)
    moved = np.moveaxis(places, axes, range(-len(axes), 0))
    left = moved.shape[: moved.ndim - len(axes)]
    pooled = graph.pool(x, moved.reshape(*left, -1), reduce)
    if keepdim:
        return pooled.with_index(np.expand_dims(pooled.index, tuple(axes)))
    return pooled


def _reduction(reduce: str) -> Callable[..., TensorRef]:
    def apply(
        graph: LayerOperations, x: TensorRef, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
    ) -> TensorRef:
        _reject_dtype(dtype)
        return pool_axes(graph, x, axes_of(x, dim), reduce, keepdim=keepdim)

    return apply


def _extreme(reduce: str, merge: Callable[..., TensorRef]) -> Callable[..., Any]:
    """Return `torch.max` or `torch.min`: of two tensors, or along an axis, which also returns places."""

    def apply(graph: LayerOperations, x: Any, dim: Any = None, keepdim: bool = False, **_: Any) -> Any:
        if not isinstance(dim, int | None):
            return merge(graph, x, dim)
        return pool_axes(graph, x, axes_of(x, dim), reduce, keepdim=keepdim), PLACES

    return apply


PLACES: Final = object()
"""The places of the largest elements, which nothing can read."""


def softmax(
    graph: LayerOperations, x: TensorRef, dim: int | None = None, *_: Any, dtype: Any = None, **__: Any
) -> TensorRef:
    """Apply `softmax` along an axis."""
    _reject_dtype(dtype)
    return graph.softmax(x, _softmax_axis(x, dim), "softmax")


def log_softmax(
    graph: LayerOperations, x: TensorRef, dim: int | None = None, *_: Any, dtype: Any = None, **__: Any
) -> TensorRef:
    """Apply `log_softmax` along an axis."""
    _reject_dtype(dtype)
    return graph.softmax(x, _softmax_axis(x, dim), "log_softmax")


def softmin(
    graph: LayerOperations, x: TensorRef, dim: int | None = None, *_: Any, dtype: Any = None, **__: Any
) -> TensorRef:
    """Apply `softmax` to the negatives."""
    return softmax(graph, graph.activation(x, {"expression": "-x"}), dim, dtype=dtype)


def glu(graph: LayerOperations, x: TensorRef, dim: int = -1) -> TensorRef:
    """Multiply one half by the sigmoid of the other."""
    if x.shape[axis_of(x, dim)] % 2:
        raise UnsupportedError("halves an axis of odd length")
    value, gate = chunk(graph, x, 2, dim)
    return graph.merge([value, graph.activation(gate, "sigmoid")], "multiply")


def max_pool(
    graph: LayerOperations,
    x: TensorRef,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
    *,
    axes: int,
) -> TensorRef:
    """Return the largest number of each window."""
    _reject_places(return_indices=return_indices)
    windows = _windows(x, axes, kernel_size, stride, padding, dilation, ceil_mode=ceil_mode)
    # Padding is replaced by another element of the window, which changes no maximum.
    return graph.pool(x, np.where(windows < 0, windows.max(axis=-1, keepdims=True), windows), "max")


def avg_pool(
    graph: LayerOperations,
    x: TensorRef,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: Any = None,
    *,
    axes: int,
) -> TensorRef:
    """Return the mean of each window."""
    if divisor_override is not None or np.any(padding):
        raise UnsupportedError("pads, or divides by something else than the size of its windows; leave that out")
    return graph.pool(x, _windows(x, axes, kernel_size, stride, 0, 1, ceil_mode=ceil_mode), "mean")


def adaptive_pool(
    graph: LayerOperations,
    x: TensorRef,
    output_size: Any,
    return_indices: bool = False,
    *,
    axes: int,
    reduce: str,
) -> TensorRef:
    """Reduce the last axes to a number of windows each, divided as PyTorch does."""
    _reject_places(return_indices=return_indices)
    _needs_axes(x, axes)
    lengths = x.shape[len(x.shape) - axes :]
    requested = [output_size] * axes if isinstance(output_size, int) else list(output_size)
    counts = [length if count is None else count for count, length in zip(requested, lengths, strict=True)]
    places = places_of(x.shape)
    for axis, (length, count) in enumerate(zip(lengths, counts, strict=True), len(x.shape) - axes):
        spans = [(place * length // count, -(-(place + 1) * length // count)) for place in range(count)]
        size = max(end - start for start, end in spans)
        if reduce == "mean" and any(end - start < size for start, end in spans):
            raise UnsupportedError(_RAGGED)
        # Shorter windows repeat their last element, which changes no maximum.
        chosen = np.array([[min(start + step, end - 1) for step in range(size)] for start, end in spans])
        places = np.moveaxis(np.take(places, chosen, axis), axis + 1, -1)
    return graph.pool(x, places.reshape(*places.shape[: len(x.shape)], -1), reduce)


def _windows(
    x: TensorRef, axes: int, kernel: Any, stride: Any, padding: Any, dilation: Any, *, ceil_mode: bool
) -> Indices:
    """Return the places of each window in the flat row, `(..., size)`, -1 in the padding."""
    if ceil_mode:
        raise UnsupportedError("has windows that reach over the end; use ceil_mode=False")
    _needs_axes(x, axes)
    sizes, pads, gaps = (_each(number, axes) for number in (kernel, padding, dilation))
    steps = sizes if stride is None or stride == [] else _each(stride, axes)
    before = [(0, 0)] * (len(x.shape) - axes)
    places = np.pad(places_of(x.shape), [*before, *((pad, pad) for pad in pads)], constant_values=-1)
    spans = [(size - 1) * gap + 1 for size, gap in zip(sizes, gaps, strict=True)]
    behind = tuple(range(places.ndim - axes, places.ndim))
    if any(places.shape[axis] < span for axis, span in zip(behind, spans, strict=True)):
        raise UnsupportedError(f"has windows that are larger than rows of shape {list(x.shape)}")
    windows = np.lib.stride_tricks.sliding_window_view(places, spans, behind)
    cut: Any = (Ellipsis, *(slice(None, None, step) for step in steps), *(slice(None, None, gap) for gap in gaps))
    chosen: Indices = windows[cut]
    return chosen.reshape(*chosen.shape[: chosen.ndim - axes], -1)


def _each(number: Any, axes: int) -> list[int]:
    numbers = [number] if isinstance(number, int) else list(number)
    return numbers * axes if len(numbers) == 1 else numbers


def _needs_axes(x: TensorRef, axes: int) -> None:
    if len(x.shape) < axes:
        raise UnsupportedError(f"gets rows of shape {list(x.shape)}; {axes} axes are needed")


def _softmax_axis(x: TensorRef, dim: int | None) -> int:
    if dim is None:
        raise UnsupportedError("does not say its axis; say dim=-1")
    return axis_of(x, dim)


def _reject_places(*, return_indices: bool) -> None:
    if return_indices:
        raise UnsupportedError("returns places too; leave out return_indices")


def _reject_dtype(dtype: Any) -> None:
    if dtype is not None:
        raise UnsupportedError(f"computes in {dtype}; leave dtype out, a network computes all in one")


def _pools() -> dict[str, Callable[..., Any]]:
    """Return pooling over one, two and three axes."""
    found: dict[str, Callable[..., Any]] = {}
    for axes in (1, 2, 3):
        found[f"max_pool{axes}d"] = _bound(max_pool, axes=axes)
        found[f"avg_pool{axes}d"] = _bound(avg_pool, axes=axes)
        found[f"adaptive_max_pool{axes}d"] = _bound(adaptive_pool, axes=axes, reduce="max")
        found[f"adaptive_avg_pool{axes}d"] = _bound(adaptive_pool, axes=axes, reduce="mean")
        # In a traced graph the operation returns places too.
        found[f"max_pool{axes}d_with_indices"] = _with_places(found[f"max_pool{axes}d"])
        found[f"aten.adaptive_max_pool{axes}d"] = _with_places(found[f"adaptive_max_pool{axes}d"])
    return found


def _with_places(function: Callable[..., TensorRef]) -> Callable[..., tuple[TensorRef, object]]:
    def apply(graph: LayerOperations, *args: Any, **options: Any) -> tuple[TensorRef, object]:
        return function(graph, *args, **options), PLACES

    return apply


def _bound(function: Callable[..., TensorRef], **known: Any) -> Callable[..., TensorRef]:
    def apply(graph: LayerOperations, *args: Any, **options: Any) -> TensorRef:
        return function(graph, *args, **options, **known)

    return apply


REDUCTIONS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "sum": _reduction("sum"),
        "mean": _reduction("mean"),
        "amax": _reduction("max"),
        "amin": _reduction("min"),
        "max": _extreme("max", maximum),
        "min": _extreme("min", minimum),
        "softmax": softmax,
        "log_softmax": log_softmax,
        "softmin": softmin,
        "glu": glu,
        **_pools(),
    }
)
"""The function for each operation, by its name in torch."""
