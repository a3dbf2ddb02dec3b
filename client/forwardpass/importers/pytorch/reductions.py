"""Operations that read several elements of a row together: sums, means, pooling, softmax."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import LayerOperations, TensorRef, reductions, running
from forwardpass.importers.graph.reductions import moments
from forwardpass.importers.graph.running import accumulate
from forwardpass.importers.graph.windows import Windows, pool, pool_places
from forwardpass.importers.pytorch.along_axis import multiply_along
from forwardpass.importers.pytorch.constants import is_number, number_of
from forwardpass.importers.pytorch.elementwise import boolean, join, lerp, maximum, minimum, mul
from forwardpass.importers.pytorch.integers import BooleanRef
from forwardpass.importers.pytorch.later_places import LaterPlaces, reject_places
from forwardpass.importers.pytorch.reshaping import chunk
from forwardpass.importers.pytorch.rows_axis import MIXES, WholeTensor, arranged, whole
from forwardpass.importers.unsupported import UnsupportedError


def pool_axes(
    graph: LayerOperations, x: TensorRef, axes: Sequence[int], reduce: str, *, keepdim: bool = False
) -> TensorRef:
    """Reduce axes, counted with that of the rows, by one of the reductions of the graph."""
    known = whole(x)
    return _reduced(known, reductions.REDUCTIONS[reduce](graph, known.tensor, axes), axes, keepdim=keepdim)


def _reduced(known: WholeTensor, result: TensorRef, axes: Sequence[int], *, keepdim: bool) -> TensorRef:
    """Return what lacks some axes of a tensor, or has length 1 there."""
    if keepdim:
        return known.like(result.with_index(np.expand_dims(result.index, tuple(axes))))
    rows = known.rows - sum(axis < known.rows for axis in axes)
    return arranged(result, result.index, rows, known.before, known.after)


def _reduction(reduce: str) -> Callable[..., TensorRef]:
    def apply(
        graph: LayerOperations, x: TensorRef, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
    ) -> TensorRef:
        _reject_dtype(dtype)
        return pool_axes(graph, x, whole(x).axes(dim), reduce, keepdim=keepdim)

    return apply


def _truth(reduce: str) -> Callable[..., TensorRef]:
    """Return `torch.any` or `torch.all`: whether elements are other than 0."""

    def apply(graph: LayerOperations, x: TensorRef, dim: Any = None, keepdim: bool = False) -> TensorRef:
        truth = x if isinstance(x, BooleanRef) else graph.function(x, "where(x != 0, 1, 0)")
        return boolean(graph, pool_axes(graph, truth, whole(x).axes(dim), reduce, keepdim=keepdim))

    return apply


def _extreme(reduce: str, merge: Callable[..., TensorRef]) -> Callable[..., Any]:
    """Return `torch.max` or `torch.min`: of two tensors, or along an axis, which also returns places."""

    def apply(graph: LayerOperations, x: Any, dim: Any = None, keepdim: bool = False, **_: Any) -> Any:
        if not isinstance(dim, int | None):
            return join(graph, merge, x, dim)
        largest = pool_axes(graph, x, whole(x).axes(dim), reduce, keepdim=keepdim)
        return largest, LaterPlaces(find=lambda: _place_of(largest=reduce == "max")(graph, x, dim, keepdim))

    return apply


PLACES: Final = LaterPlaces(find=reject_places)
"""The places of sorted elements, which nothing can read."""


def _moments(
    graph: LayerOperations, x: TensorRef, dim: Any = None, unbiased: Any = None, keepdim: bool = False, **options: Any
) -> tuple[TensorRef, TensorRef]:
    """Return the variance and the mean along axes."""
    correction = options.get("correction")
    if isinstance(dim, bool):
        raise UnsupportedError(f"{MIXES}; name the axes, `dim=1` and so on")
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    keepdim = bool(options.get("keepdim", keepdim))
    known = whole(x)
    axes = known.axes(dim)
    variance, mean = moments(graph, known.tensor, axes, correction=correction)
    return _reduced(known, variance, axes, keepdim=keepdim), _reduced(known, mean, axes, keepdim=keepdim)


def _root(graph: LayerOperations, x: TensorRef) -> TensorRef:
    return _each(graph, x, {"expression": "sqrt(x)"})


def _each(graph: LayerOperations, x: TensorRef, activation: Any) -> TensorRef:
    known = whole(x)
    return known.like(graph.activation(known.tensor, activation))


def variance(graph: LayerOperations, x: TensorRef, *args: Any, **options: Any) -> TensorRef:
    """Return the variance along axes."""
    return _moments(graph, x, *args, **options)[0]


def deviation(graph: LayerOperations, x: TensorRef, *args: Any, **options: Any) -> TensorRef:
    """Return the standard deviation along axes."""
    return _root(graph, variance(graph, x, *args, **options))


def deviation_and_mean(graph: LayerOperations, x: TensorRef, *args: Any, **options: Any) -> tuple[TensorRef, TensorRef]:
    """Return the standard deviation and the mean along axes."""
    found, mean = _moments(graph, x, *args, **options)
    return _root(graph, found), mean


def norm(
    graph: LayerOperations, x: TensorRef, p: Any = 2, dim: Any = None, keepdim: bool = False, **options: Any
) -> TensorRef:
    """Return the p-norm along axes: the root of the sum of powers, or the largest size."""
    p = options.get("ord", p)
    if p == "nuc":
        raise UnsupportedError("is a nuclear norm, the sum of singular values; use a norm of the elements")
    order = 2.0 if p in {None, "fro"} else float(p)
    known = whole(x)
    axes = known.axes(dim)
    return _reduced(known, reductions.norm(graph, known.tensor, axes, order), axes, keepdim=keepdim)


def linalg_norm(graph: LayerOperations, x: TensorRef, ord: Any = None, dim: Any = None, **options: Any) -> TensorRef:  # noqa: A002 - torch's name
    """Return the norm of vectors, or of all elements of matrices."""
    if ord not in {None, "fro"} and isinstance(dim, tuple | list) and len(dim) == 2:
        raise UnsupportedError(f"is a matrix norm by ord={ord!r}; use torch.linalg.vector_norm for one of the elements")
    return norm(graph, x, ord, dim, **options)


def _accumulated(merge: str) -> Callable[..., TensorRef]:
    def apply(graph: LayerOperations, x: TensorRef, dim: int, *, dtype: Any = None) -> TensorRef:
        _reject_dtype(dtype)
        known = whole(x)
        return known.like(accumulate(graph, known.tensor, known.axis(dim), merge))

    return apply


def median(graph: LayerOperations, x: TensorRef, dim: Any = None, keepdim: bool = False) -> tuple[TensorRef, object]:
    """Return the lower of the middle elements along an axis."""
    known = whole(x)
    (axis,) = known.axes(dim)
    ordered = running.sort_along(graph, known.tensor, axis)
    middle = ordered.take((known.index.shape[axis] - 1) // 2, axis)
    return _reduced(known, middle, [axis], keepdim=keepdim), PLACES


def top_k(
    graph: LayerOperations,
    x: TensorRef,
    k: int,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,  # noqa: A002 - torch's word
) -> tuple[TensorRef, object]:
    """Return the largest or smallest elements along an axis."""
    known = whole(x)
    axis = known.axis(dim)
    ordered = running.sort_along(graph, known.tensor, axis)
    length = known.index.shape[axis]
    places = range(length - 1, length - 1 - k, -1) if largest else range(k)
    return known.like(ordered.take(list(places), axis)), PLACES


def smallest(graph: LayerOperations, x: TensorRef, k: int, dim: int = -1, keepdim: bool = False) -> tuple[Any, object]:
    """Return the k-th smallest element along an axis."""
    known = whole(x)
    axis = known.axis(dim)
    ordered = running.sort_along(graph, known.tensor, axis)
    return _reduced(known, ordered.take(k - 1, axis), [axis], keepdim=keepdim), PLACES


def quantile(
    graph: LayerOperations,
    x: TensorRef,
    q: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    interpolation: str = "linear",
) -> TensorRef:
    """Return a quantile along an axis, between the two elements nearest to it."""
    known = whole(x)
    (axis,) = known.axes(dim)
    if interpolation != "linear" or not is_number(q):
        raise UnsupportedError('makes several quantiles, or one without interpolation="linear"; make one at a time')
    ordered = running.sort_along(graph, known.tensor, axis)
    place = number_of(q) * (known.index.shape[axis] - 1)
    low, share = int(place), place - int(place)
    below, above = (ordered.take(at, axis) for at in (low, min(low + 1, known.index.shape[axis] - 1)))
    return _reduced(known, lerp(graph, below, above, share), [axis], keepdim=keepdim)


def smallest_and_largest(graph: LayerOperations, x: TensorRef, *, dim: Any = None, keepdim: bool = False) -> Any:
    """Return the smallest and the largest element along an axis."""
    axes = whole(x).axes(dim)
    return tuple(pool_axes(graph, x, axes, reduce, keepdim=keepdim) for reduce in ("min", "max"))


def largest_so_far(graph: LayerOperations, x: TensorRef, dim: int) -> tuple[TensorRef, object]:
    """Return the largest element up to each place along an axis."""
    known = whole(x)
    return known.like(accumulate(graph, known.tensor, known.axis(dim), "max")), PLACES


def sort_along(
    graph: LayerOperations, x: TensorRef, dim: int = -1, descending: bool = False, **_: Any
) -> tuple[Any, object]:
    """Sort the elements along an axis."""
    known = whole(x)
    return top_k(graph, x, known.index.shape[known.axis(dim)], dim, largest=descending)


def _place_of(*, largest: bool) -> Callable[..., TensorRef]:
    """Return the place of the first largest or smallest element along an axis, as a number."""

    def apply(graph: LayerOperations, x: TensorRef, dim: Any = None, keepdim: bool = False) -> TensorRef:
        known = whole(x)
        (axis,) = known.axes(dim)
        found = reductions.place_of_extreme(graph, known.tensor, axis, largest=largest)
        graph.whole.note_computed(found, known.index.shape[axis])
        return _reduced(known, found, [axis], keepdim=keepdim)

    return apply


def softmax(
    graph: LayerOperations, x: TensorRef, dim: int | None = None, *_: Any, dtype: Any = None, **__: Any
) -> TensorRef:
    """Apply `softmax` along an axis."""
    _reject_dtype(dtype)
    known = whole(x)
    return known.like(graph.softmax(known.tensor, _softmax_axis(x, dim), "softmax"))


def log_softmax(
    graph: LayerOperations, x: TensorRef, dim: int | None = None, *_: Any, dtype: Any = None, **__: Any
) -> TensorRef:
    """Apply `log_softmax` along an axis."""
    _reject_dtype(dtype)
    known = whole(x)
    return known.like(graph.softmax(known.tensor, _softmax_axis(x, dim), "log_softmax"))


def softmin(
    graph: LayerOperations, x: TensorRef, dim: int | None = None, *_: Any, dtype: Any = None, **__: Any
) -> TensorRef:
    """Apply `softmax` to the negatives."""
    return softmax(graph, _each(graph, x, {"expression": "-x"}), dim, dtype=dtype)


def glu(graph: LayerOperations, x: TensorRef, dim: int = -1) -> TensorRef:
    """Multiply one half by the sigmoid of the other."""
    known = whole(x)
    if known.index.shape[known.axis(dim)] % 2:
        raise UnsupportedError("halves an axis of odd length")
    value, gate = chunk(graph, x, 2, dim)
    return join(graph, mul, value, _each(graph, gate, "sigmoid"))


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
    return pool(graph, x, _windows(axes, kernel_size, stride, padding, dilation, ceil_mode=ceil_mode), "max")


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
    if divisor_override is not None:
        raise UnsupportedError("divides by something else than the size of its windows; leave divisor_override out")
    windows = _windows(axes, kernel_size, stride, padding, 1, ceil_mode=ceil_mode)
    return pool(graph, x, windows, "mean", include_pads=count_include_pad)


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
    along = []
    for axis, (length, given) in enumerate(zip(lengths, requested, strict=True), whole(x).rank - axes):
        count = length if given is None else given
        if reduce == "mean" and length % count:  # windows of different sizes
            x = _averaged_along(graph, x, axis, length, count)
            length = count  # noqa: PLW2901 - each mean is a window now
        spans = [(place * length // count, -(-(place + 1) * length // count)) for place in range(count)]
        size = max(end - start for start, end in spans)
        # Shorter windows repeat their last element, which changes no maximum.
        along.append(np.array([[min(start + step, end - 1) for step in range(size)] for start, end in spans]))
    return pool_places(graph, x, along, reduce)


def _averaged_along(graph: LayerOperations, x: TensorRef, axis: int, length: int, count: int) -> TensorRef:
    """Average windows of one axis, which may be of different sizes, by weights."""
    starts = np.arange(count)[:, np.newaxis] * length // count
    ends = -(-(np.arange(count)[:, np.newaxis] + 1) * length // count)
    inside = (np.arange(length) >= starts) & (np.arange(length) < ends)
    return multiply_along(graph, x, axis, inside / (ends - starts))


def _windows(axes: int, kernel: Any, stride: Any, padding: Any, dilation: Any, *, ceil_mode: bool) -> Windows:
    sizes, pads, gaps = (_numbers(number, axes) for number in (kernel, padding, dilation))
    steps = sizes if stride is None or stride == [] else _numbers(stride, axes)
    return Windows(kernel=sizes, strides=steps, pads=[(pad, pad) for pad in pads], dilations=gaps, ceil=bool(ceil_mode))


def _numbers(number: Any, axes: int) -> list[int]:
    numbers = [number] if isinstance(number, int) else list(number)
    return numbers * axes if len(numbers) == 1 else numbers


def _needs_axes(x: TensorRef, axes: int) -> None:
    if len(x.shape) < axes:
        raise UnsupportedError(f"gets rows of shape {list(x.shape)}; {axes} axes are needed")


def _softmax_axis(x: TensorRef, dim: int | None) -> int:
    if dim is None:
        raise UnsupportedError("does not say its axis; say dim=-1")
    return whole(x).axis(dim)


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


POOLS: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(_pools())
"""Pooling in windows, of tensors whose rows are the first axis."""

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
        "var": variance,
        "std": deviation,
        "var_mean": _moments,
        "std_mean": deviation_and_mean,
        **dict.fromkeys(("norm", "vector_norm", "linalg_vector_norm"), norm),
        "linalg_norm": linalg_norm,
        "logsumexp": _reduction("log_sum_exp"),
        "cumsum": _accumulated("sum"),
        "cumprod": _accumulated("multiply"),
        "prod": _reduction("prod"),
        "median": median,
        "topk": top_k,
        "kthvalue": smallest,
        "quantile": quantile,
        "aminmax": smallest_and_largest,
        "cummax": largest_so_far,
        "sort": sort_along,
        "argmax": _place_of(largest=True),
        "argmin": _place_of(largest=False),
        "any": _truth("max"),
        "all": _truth("min"),
        **POOLS,
    }
)
"""The function for each operation, by its name in torch."""
