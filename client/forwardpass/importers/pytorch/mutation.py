"""Which graphs write into tensors that other nodes share: into a view, or into a tensor that has views."""

from typing import Any, Final

from forwardpass.importers.pytorch.operations import changes_its_input, name_of
from forwardpass.importers.unsupported import UnsupportedError

_WRITES: Final = frozenset({"setitem", "copy_", "index_put_", "fill_", "zero_", "masked_fill_"})
"""Operations that write into a part of a tensor, or all of it, whatever was there."""


def writes_into_views(graph: Any) -> bool:
    """Return whether a graph of `torch.export` writes into a tensor that other nodes share."""
    return any(_is_write(node) and _is_shared(node.args[0]) for node in graph.nodes if node.args)


def has_writes(graph: Any) -> bool:
    """Return whether a graph of `torch.fx`, which does not say what is a view, writes into tensors."""
    return any(_is_write(node) for node in graph.nodes if node.args)


def _is_write(node: Any) -> bool:
    if node.op not in {"call_function", "call_method"} or not hasattr(node.args[0], "users"):
        return False
    try:
        name = name_of(node.target)
    except UnsupportedError:
        return False
    return name.removeprefix("aten.") in _WRITES or changes_its_input(name, node.kwargs)


def _is_shared(node: Any) -> bool:
    """Return whether a node is a view, or has one besides."""
    return _is_view(node) or any(_is_view(user) and not _is_write(user) for user in node.users)


def _is_view(node: Any) -> bool:
    if node.op != "call_function":
        return False
    schema = getattr(node.target, "_schema", None)
    return schema is None or any(each.alias_info is not None for each in schema.returns)
