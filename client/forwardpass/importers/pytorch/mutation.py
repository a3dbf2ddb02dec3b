"""Which graphs write into tensors that other nodes share: into a view, or into a tensor that has views."""

from collections.abc import Iterator
from typing import Any, Final

from forwardpass.importers.pytorch.operations import changes_its_input, name_of
from forwardpass.importers.unsupported import UnsupportedError

_WRITES: Final = frozenset({"setitem", "copy_", "index_put_", "fill_", "zero_", "masked_fill_"})
"""Operations that write into a part of a tensor, or all of it, whatever was there."""
_SILENT_VIEWS: Final = frozenset(
    {
        *("dropout", "alpha_dropout", "feature_dropout", "feature_alpha_dropout", "type_as", "sum_to_size", "data"),
        *("atleast_1d", "atleast_2d", "atleast_3d", "einsum", "broadcast_tensors", "meshgrid", "cartesian_prod"),
        *("chain_matmul", "unsafe_chunk", "unsafe_split", "unsafe_split_with_sizes", "to_dense", "_to_cpu"),
        *("_cast_Float", "_cast_Double", "_cast_Long", "_cast_Int"),
    }
)
"""Operations that may return what they read, or a view of it, though their schemas do not say so."""
_PASSING: Final = frozenset(
    {"Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout", "Identity", "Flatten"}
)
"""Modules that return what they read, or a view of it, in inference."""
_NEW: Final = frozenset({"add", "sub", "mul", "truediv", "div", "matmul", "cat", "relu", "linear"})
"""Functions that return a tensor of their own, unless they write into what they read."""


def writes_into_views(graph: Any) -> bool:
    """Return whether a graph of `torch.export` writes into a tensor that other nodes share."""
    return any(_is_write(node) and _is_shared(node.args[0]) for node in graph.nodes if node.args)


def silently_shared(graph: Any) -> str | None:
    """Return the name of an operation of `torch.export` whose result is written, and with it what others read.

    Neither its schema nor `torch.export` says that it returns what it reads, so that the write would be lost.
    """
    order = {node: place for place, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        if not _is_silent(node) or all(len(source.users) == 1 for source in _sources(node)):
            continue
        if any(_is_write(each) and order[each] > order[node] for each in _same_memory(node)):
            return str(name_of(node.target)).removeprefix("aten.")
    return None


def has_writes(graph: Any, root: Any) -> bool:
    """Return whether a graph of `torch.fx`, which does not say what is a view, writes into tensors.

    Modules such as `ReLU(inplace=True)` count where something else may read the tensor.
    """
    return any(
        _is_write(node) or (_is_module_in_place(node, root) and _may_be_shared(node.args[0], root))
        for node in graph.nodes
        if node.args
    )


def _is_write(node: Any) -> bool:
    if node.op not in {"call_function", "call_method"} or not node.args or not hasattr(node.args[0], "users"):
        return False
    name = _name(node)
    return name.removeprefix("aten.") in _WRITES or changes_its_input(name, node.kwargs)


def _name(node: Any) -> str:
    try:
        return name_of(node.target)
    except UnsupportedError:
        return ""


def _is_module_in_place(node: Any, root: Any) -> bool:
    return node.op == "call_module" and bool(getattr(root.get_submodule(node.target), "inplace", False))


def _may_be_shared(node: Any, root: Any) -> bool:
    """Return whether something besides the one user of a node may read its tensor."""
    if not hasattr(node, "users") or len(node.users) > 1 or node.op == "get_attr":
        return True
    if node.op == "placeholder":
        return False
    if node.op == "call_module":
        passes = type(root.get_submodule(node.target)).__name__ in _PASSING or _is_module_in_place(node, root)
        return passes and any(_may_be_shared(each, root) for each in node.all_input_nodes)
    if node.op in {"call_function", "call_method"} and _name(node) in _NEW:
        return False
    return any(_may_be_shared(each, root) for each in node.all_input_nodes)


def _is_shared(node: Any) -> bool:
    """Return whether a node is a view, or has one besides."""
    return _is_view(node) or any(_is_view(user) and not _is_write(user) for user in node.users)


def _is_view(node: Any) -> bool:
    if node.op != "call_function":
        return False
    schema = getattr(node.target, "_schema", None)
    return schema is None or any(each.alias_info is not None for each in schema.returns) or _is_silent(node)


def _is_silent(node: Any) -> bool:
    return node.op == "call_function" and _name(node).removeprefix("aten.") in _SILENT_VIEWS


def _sources(node: Any) -> Iterator[Any]:
    """Yield the nodes whose memory a view may have, up to the one that made it or wrote it last."""
    for each in node.all_input_nodes:
        yield each
        if _is_view(each) and not _is_write(each):
            yield from _sources(each)


def _same_memory(node: Any) -> set[Any]:
    """Return the nodes that may have the memory of a node."""
    found, left = {node}, [node]
    while left:
        each = left.pop()
        read = each.all_input_nodes if _is_view(each) else []
        new = {*read, *(user for user in each.users if _is_view(user) or _is_write(user))} - found
        found |= new
        left += new
    return found
