"""Operations with learned numbers: linear maps, normalizations, embeddings; and conversions of what they read."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from forwardpass.importers.graph import LayerOperations, TensorRef, normalization
from forwardpass.importers.pytorch.choosing import CHOOSING
from forwardpass.importers.pytorch.constants import array_of
from forwardpass.importers.pytorch.elementwise import ELEMENTWISE, channels, join, mul, reject_training
from forwardpass.importers.pytorch.integers import ROW_COUNT, BooleanRef, IntegerRef, RowPlaces
from forwardpass.importers.pytorch.products import batched_sum, outer_linear
from forwardpass.importers.pytorch.reductions import PLACES, pool_axes
from forwardpass.importers.pytorch.reshaping import RESHAPING
from forwardpass.importers.pytorch.rows_axis import MIXES, MovedRef, arranged, reshaped, whole
from forwardpass.importers.unsupported import UnsupportedError
from forwardpass.tensors import Array


def linear(graph: LayerOperations, x: Any, weight: Any, bias: Any = None, *, mask: Any = None) -> Any:
    """Compute `x @ weight.T + bias`."""
    if any(isinstance(part, TensorRef) for part in (weight, bias)) and mask is None:
        return outer_linear(graph, x, weight, bias)
    if not isinstance(x, TensorRef):
        shift = 0 if bias is None else array_of(bias)
        return array_of(x).astype(graph.dtype) @ array_of(weight).T + shift
    known = whole(x)
    if known.rows == known.rank - 1:
        raise UnsupportedError(MIXES)
    return known.like(graph.dense(known.tensor, array_of(weight), _optional(bias), _optional(mask)))


def addmm(graph: LayerOperations, bias: Any, x: Any, matrix: Any, *, beta: float = 1, alpha: float = 1) -> Any:
    """Compute `bias + x @ matrix`."""
    if isinstance(matrix, TensorRef) or isinstance(bias, TensorRef):
        return batched_sum(graph, bias, x, matrix, beta=beta, alpha=alpha)
    if beta != 1 or alpha != 1 or array_of(bias).ndim != 1:
        raise UnsupportedError("adds something else than one bias; use `torch.nn.Linear` instead")
    return linear(graph, x, array_of(matrix).T, bias)


def batch_norm(
    graph: LayerOperations,
    x: TensorRef,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> TensorRef:
    """Normalize each channel by its learned statistics."""
    reject_training(training=training)
    if running_mean is None or running_var is None:
        raise UnsupportedError("knows no mean of its channels and takes that of the rows; use track_running_stats=True")
    numbers = {"mean": running_mean, "variance": running_var, "gamma": weight, "beta": bias}
    return graph.batch_norm(
        x,
        epsilon=eps,
        **{key: None if known is None else channels(array_of(known), x) for key, known in numbers.items()},
    )


def aten_batch_norm(
    graph: LayerOperations,
    x: TensorRef,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    training: bool,
    momentum: float,
    eps: float,
    *_: Any,
) -> TensorRef:
    """Normalize each channel, with the arguments in the order of a traced graph."""
    return batch_norm(graph, x, running_mean, running_var, weight, bias, training, momentum, eps)


def layer_norm(
    graph: LayerOperations,
    x: TensorRef,
    normalized_shape: Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    *_: Any,
) -> TensorRef:
    """Normalize over the last axes."""
    known, shape = whole(x), tuple(normalized_shape)
    first = known.rank - len(shape)
    if known.index.shape[first:] != shape or known.rows >= first:
        raise UnsupportedError(f"is made for {list(shape)} and gets rows of shape {list(x.shape)}")
    return known.like(graph.layer_norm(known.tensor, len(shape), _optional(weight), _optional(bias), eps))


def group_norm(
    graph: LayerOperations,
    x: TensorRef,
    num_groups: int,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
    *_: Any,
) -> TensorRef:
    """Normalize each group of channels by its own moments (Wu & He, 2018)."""
    if not x.shape or x.shape[0] % num_groups:
        raise UnsupportedError(f"makes {num_groups} groups of rows of shape {list(x.shape)}")
    normal = graph.group_norm(x, num_groups, eps)
    numbers = [None if known is None else channels(array_of(known), x) for known in (weight, bias)]
    return normal if weight is None and bias is None else graph.scale_shift(normal, *numbers)


def instance_norm(
    graph: LayerOperations,
    x: TensorRef,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
    *_: Any,
) -> TensorRef:
    """Normalize each channel by its own moments."""
    if not use_input_stats or running_mean is not None:
        return batch_norm(graph, x, running_mean, running_var, weight, bias, eps=eps)
    return group_norm(graph, x, x.shape[0], weight, bias, eps)


def native_batch_norm(
    graph: LayerOperations, x: TensorRef, weight: Any, bias: Any, mean: Any, var: Any, momentum: float, eps: float
) -> tuple[TensorRef, ...]:
    """Normalize each channel, as a graph without side effects does."""
    return (batch_norm(graph, x, mean, var, weight, bias, eps=eps),)


def aten_instance_norm(
    graph: LayerOperations, x: TensorRef, weight: Any, bias: Any, mean: Any, var: Any, *rest: Any
) -> TensorRef:
    """Normalize each channel, with the arguments in the order of a traced graph."""
    return instance_norm(graph, x, mean, var, weight, bias, *rest)


def rms_norm(
    graph: LayerOperations, x: TensorRef, normalized_shape: Sequence[int], weight: Any = None, eps: Any = None
) -> TensorRef:
    """Divide by the root of the mean square of the last axes: square, mean, expression, product."""
    known = whole(x)
    first = known.rank - len(normalized_shape)
    if eps is None:
        eps = float(np.finfo(graph.dtype).eps)
    axes = known.axes(tuple(range(first, known.rank)))
    normal = known.like(normalization.rms_norm(graph, known.tensor, axes, eps))
    return normal if weight is None else join(graph, mul, normal, array_of(weight))


def embedding(
    graph: LayerOperations,
    x: TensorRef,
    weight: Any,
    padding_idx: Any = None,
    max_norm: Any = None,
    *_: Any,
    **__: Any,
) -> TensorRef:
    """Look categories up in a table."""
    if max_norm is not None:
        raise UnsupportedError("changes its table while it looks up; use max_norm=None once it is trained")
    if not isinstance(x, TensorRef):
        raise UnsupportedError("looks up what does not depend on the rows")
    return graph.embedding(x, array_of(weight))


def aten_embedding(graph: LayerOperations, weight: Any, x: Any, *_: Any) -> TensorRef:
    """Look categories up, with the arguments in the order of a traced graph."""
    return embedding(graph, x, weight)


def embedding_bag(
    graph: LayerOperations,
    x: TensorRef,
    weight: Any,
    offsets: Any = None,
    max_norm: Any = None,
    *,
    mode: str = "mean",
    per_sample_weights: Any = None,
    padding_idx: Any = None,
    **_: Any,
) -> TensorRef:
    """Look the categories of a row up and reduce their vectors to one."""
    if offsets is not None or per_sample_weights is not None:
        raise UnsupportedError("has bags of different sizes, or weights; bags of one size are read")
    if padding_idx is None:
        return pool_axes(graph, embedding(graph, x, weight, max_norm=max_norm), (1,), mode)
    return _padded_bag(graph, x, array_of(weight), padding_idx % len(weight), mode)


def _padded_bag(graph: LayerOperations, x: TensorRef, table: Array, padding: int, mode: str) -> TensorRef:
    """Reduce the vectors of all categories but one, which fills bags to one size."""
    if mode == "max":
        raise UnsupportedError("has padding in a bag of which the largest is taken; use the mode sum or mean")
    counted = np.ones((len(table), 1), table.dtype)
    counted[padding] = 0
    total = pool_axes(graph, embedding(graph, x, np.where(counted, table, 0).astype(table.dtype)), (1,), "sum")
    if mode == "sum":
        return total
    count = pool_axes(graph, embedding(graph, x, counted), (1,), "sum")
    return join(graph, _share, total, count)


def _share(graph: LayerOperations, total: TensorRef, count: TensorRef) -> TensorRef:
    return graph.elementwise("x / max(y, 1)", total, count)


def aten_embedding_bag(
    graph: LayerOperations,
    weight: Any,
    x: TensorRef,
    offsets: Any,
    scale_grad: bool = False,
    mode: int = 0,
    sparse: bool = False,
    weights: Any = None,
    include_last_offset: bool = False,
    padding_idx: Any = None,
) -> tuple[Any, ...]:
    """Reduce bags of one size, which a traced graph has in one axis, `(rows * size,)`, with their places."""
    known = whole(x)
    if isinstance(offsets, RowPlaces):
        fits = offsets.step == known.after
    else:
        fits = np.array_equal(array_of(offsets), np.arange(len(offsets)) * known.after)
    if known.rank != 1 or known.before > 1 or not fits:
        raise UnsupportedError("has bags of different sizes; bags of one size are read")
    if weights is not None or include_last_offset:
        raise UnsupportedError("has weights; bags of one size are read")
    rows = reshaped(x, [ROW_COUNT, known.after])
    padding = None if padding_idx in {None, -1} else padding_idx
    reduced = embedding_bag(graph, rows, weight, mode=("sum", "mean", "max")[mode], padding_idx=padding)
    return (reduced, *[PLACES] * 3)


def one_hot(graph: LayerOperations, x: TensorRef, num_classes: int = -1) -> TensorRef:
    """Return one number for every category: 1 for the given one, else 0."""
    if num_classes < 1:
        raise UnsupportedError("counts the categories of the rows it gets; say `num_classes`")
    return graph.one_hot(x, num_classes)


def to(graph: LayerOperations, x: TensorRef, *targets: Any, **options: Any) -> TensorRef:
    """Convert to the dtype of the network, to integers for categories, or to another device."""
    if isinstance(x, BooleanRef):
        return TensorRef(sources=x.sources, index=x.index)
    for each in (*targets, *options.values()):
        word = str(each)
        if word == "torch.bool":
            return join(graph, ELEMENTWISE["bool"], x)
        if word.startswith("torch.") and word.removeprefix("torch.") in _INTEGER_DTYPES:
            return to_integers(graph, x)
        if isinstance(x, IntegerRef) and word in {"torch.float32", "torch.float64"}:
            raise UnsupportedError(
                "makes numbers of what was cut to whole numbers; only categories that are looked up may be"
            )
        if word in {"torch.float16", "torch.half", "torch.bfloat16"}:
            raise UnsupportedError(f"converts to {word}, in which no network computes")
    return x


def to_integers(graph: LayerOperations, x: TensorRef) -> TensorRef:
    """Mark a tensor as integers, which only lookups may read."""
    if isinstance(x, BooleanRef):
        return TensorRef(sources=x.sources, index=x.index)
    if isinstance(x, MovedRef):
        return arranged(IntegerRef(sources=x.sources, index=x.index), x.index, x.rows, x.before, x.after)
    return IntegerRef(sources=x.sources, index=x.index)


def _optional(constant: Any) -> Array | None:
    return None if constant is None else array_of(constant)


_INTEGER_DTYPES: Final = frozenset({"int64", "long", "int32", "int", "int16", "int8", "uint8", "short"})

CATEGORICAL: Final = frozenset(
    {*RESHAPING, *CHOOSING, *("embedding", "embedding_bag", "one_hot", "long", "int", "short", "to", "_to_copy")}
)
"""Operations that may read categories."""

WEIGHTED: Final[Mapping[str, Callable[..., Any]]] = MappingProxyType(
    {
        "linear": linear,
        "addmm": addmm,
        "batch_norm": batch_norm,
        "aten.batch_norm": aten_batch_norm,
        "layer_norm": layer_norm,
        "rms_norm": rms_norm,
        "group_norm": group_norm,
        "instance_norm": instance_norm,
        "aten.instance_norm": aten_instance_norm,
        "_native_batch_norm_legit_no_training": native_batch_norm,
        "embedding": embedding,
        "aten.embedding": aten_embedding,
        "one_hot": one_hot,
        "embedding_bag": embedding_bag,
        "aten.embedding_bag": aten_embedding_bag,
        "to": to,
        "_to_copy": to,
        "type": to,
        "type_as": to,
        "float": to,
        "double": to,
        **dict.fromkeys(("long", "int", "short"), to_integers),
    }
)
"""What each operation does, by its name in torch; with `aten.` where a traced graph has another order."""
