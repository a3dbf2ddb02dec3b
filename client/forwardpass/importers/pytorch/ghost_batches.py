"""Ghost batch normalization (Hoffer et al., 2017), which in inference is the batch normalization that it has inside.

Modules of it cut the rows into virtual batches, each of which is normalized by its own moments in training. In
inference all have the same moments, but how the rows are cut depends on their number, which no graph can say.
"""

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

_BATCH_SIZE: Final = "virtual_batch_size"
"""The attribute of such a module, in TabNet's implementations."""
_MORE: Final = 3
"""Rows beyond two virtual batches, and beyond none, that are computed both ways."""
_SCALES: Final = (1.0, 0.0, 1e3, 1e6)
_CUTS: Final = frozenset({"chunk", "split", "cat", "shape", "size", "__len__"})
"""What such a module may do besides the normalization."""


def has_ghost_batches(module: Any) -> bool:
    """Return whether a part of a module, set to inference, is replaced by `without_ghost_batches`."""
    return any(_inner(part) is not None for part in module.modules())


def without_ghost_batches(module: Any) -> Any:
    """Replace each ghost batch normalization in a module by the one inside it, and return the module."""
    inner = _inner(module)
    if inner is not None:
        return inner
    for name, part in module.named_children():
        setattr(module, name, without_ghost_batches(part))
    return module


def _inner(module: Any) -> Any:
    """Return the batch normalization that computes the same as a module, None where it has none."""
    import torch

    size, parts = getattr(module, _BATCH_SIZE, None), list(module.children())
    if not isinstance(size, int) or len(parts) != 1 or not isinstance(parts[0], torch.nn.BatchNorm1d):
        return None
    (inner,) = parts
    if inner.training or inner.running_mean is None or list(module.parameters(recurse=False)):
        return None
    random = torch.Generator().manual_seed(0)
    for rows in (1, _MORE, 2 * size + _MORE):
        numbers = torch.randn(rows, inner.num_features, generator=random, dtype=inner.running_mean.dtype)
        for scale in _SCALES:
            values = numbers * scale
            try:
                found = _computed(module, inner, values)
                if found is None or not torch.equal(found, inner(values)):
                    return None
            except Exception:  # noqa: BLE001 - it is another kind of module
                return None
    return inner


def _computed(module: Any, inner: Any, values: Any) -> Any:
    """Return what a module computes, None where it does more than cut the rows, normalize and join them."""
    import torch
    from torch.overrides import TorchFunctionMode

    depth, others = 0, []

    class Watch(TorchFunctionMode):  # type: ignore[misc] # torch has no types here
        def __torch_function__(self, func: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
            if depth == 0 and _name(func) not in _CUTS:
                others.append(func)
            return func(*args, **(kwargs or {}))

    def enter(*_: Any) -> None:
        nonlocal depth
        depth += 1

    def leave(*_: Any) -> None:
        nonlocal depth
        depth -= 1

    with ExitStack() as hooks, torch.no_grad():
        hooks.callback(inner.register_forward_pre_hook(enter, prepend=True).remove)
        hooks.callback(inner.register_forward_hook(leave).remove)
        with Watch():
            found = module(values)
    return None if others else found


def _name(function: Callable[..., Any]) -> str:
    """Return the name of a function of torch, or of the attribute of a tensor that it gets."""
    name: str = function.__name__
    return getattr(getattr(function, "__self__", None), "__name__", name) if name == "__get__" else name
