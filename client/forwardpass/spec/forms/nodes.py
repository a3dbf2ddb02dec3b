"""The form of articles and lectures: each node by its name, with its weights."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from forwardpass.spec.faults import Faults, found, join, quoted
from forwardpass.spec.fields.document import FORMAT
from forwardpass.spec.fields.numbers import common_length
from forwardpass.spec.limits import DEFAULT_LIMITS, Limits
from forwardpass.spec.network import NetworkSpec
from forwardpass.spec.parsing import read

_NODE: Final = re.compile(r"node_(?:([0-9]{1,9})_)?([0-9]{1,9})")
_OUTPUT: Final = re.compile(r"output(?:_([0-9]{1,9}))?")
_FORMS: Final = (
    "`node_0`, `node_1` ... (one hidden layer) or `node_0_0`, `node_0_1`, `node_1_0` ... (layer, then node), "
    "and `output` or `output_0`, `output_1` ..."
)


def from_nodes(
    nodes: Mapping[str, Any],
    *,
    activation: str | Mapping[str, Any] = "relu",
    output_activation: str | Mapping[str, Any] = "identity",
    inputs: int | Sequence[Any] | None = None,
    dtype: str = "float64",
    limits: Limits = DEFAULT_LIMITS,
    **fields: Any,
) -> NetworkSpec:
    """Return the spec of a network without biases from its nodes and their weights; the names determine the layers.

    Example:
        >>> from_nodes({"node_0": [1, 1], "node_1": [-1, 1], "output": [2, -1]})
        NetworkSpec(float64, 2 inputs -> hidden(2, relu) -> output(1, identity), 9 parameters, 0 examples)

    Args:
        nodes: The weights of each node. Names are `node_0`, `node_1` and so on for the nodes of one hidden
            layer; `node_0_0`, `node_0_1`, `node_1_0` and so on (layer, then node) for several; and `output`,
            or `output_0`, `output_1` and so on.
        activation: Of all hidden layers.
        output_activation: Of the output layer.
        inputs: The features, as in a document; the number of weights of the first node when left out.
        dtype: `float32` or `float64`.
        limits: The largest accepted sizes.
        **fields: Other fields of a document: `description`, `examples`, `classes` and so on.

    Raises:
        InvalidNetworkError: A name is not of these forms, a node is left out, or the network that
            the nodes make is not valid; `faults` has every fault.
    """
    faults = Faults()
    hidden, outputs = _sort(nodes, faults)
    groups = [*hidden, outputs]
    _check_complete(groups, faults)
    faults.check()
    names = ["hidden"] if len(hidden) == 1 else [f"hidden_{index}" for index in range(len(hidden))]
    layers = [
        {
            "name": name,
            "weights": {node: nodes[node] for _, node in sorted(group.items())},
            "activation": output_activation if name == "output" else activation,
        }
        for name, group in zip([*names, "output"], groups, strict=True)
    ]
    width = common_length(nodes[node] for node in groups[0].values())
    document = {
        "format": FORMAT,
        "dtype": dtype,
        "inputs": inputs if inputs is not None else width,
        "layers": layers,
        **fields,
    }
    return read(document, limits=limits, faults=faults)


def _sort(nodes: Mapping[Any, Any], faults: Faults) -> tuple[list[dict[int, str]], dict[int, str]]:
    """Group the names of the nodes by layer, each with its index."""
    if not isinstance(nodes, Mapping):
        faults.add("nodes", f"is {found(nodes)}; must be an object of node names and weights")
        raise faults.error()
    hidden: dict[int, dict[int, str]] = {}
    outputs: dict[int, str] = {}
    forms: set[bool] = set()
    for name in nodes:
        node = _NODE.fullmatch(name) if isinstance(name, str) else None
        output = _OUTPUT.fullmatch(name) if isinstance(name, str) else None
        if node:
            forms.add(node[1] is None)
            group, index = hidden.setdefault(int(node[1] or 0), {}), int(node[2])
        elif output:
            group, index = outputs, int(output[1] or 0)
        else:
            path = join("nodes", name if isinstance(name, str) else found(name))
            faults.add(path, f"does not name a layer; must be {_FORMS}")
            continue
        if index in group:
            faults.add(join("nodes", name), f"is the same node as {quoted(group[index])}")
        group[index] = name
    if len(forms) == 2:
        faults.add("nodes", "has names with a layer (`node_0_1`) and names without (`node_1`); use one form")
    missing = [index for index in range(max(hidden, default=-1)) if index not in hidden][:3]
    for index in missing:
        faults.add("nodes", f"has no node of layer {index}, such as `node_{index}_0`")
    return [group for _, group in sorted(hidden.items())], outputs


def _check_complete(groups: Sequence[Mapping[int, str]], faults: Faults) -> None:
    if not groups[-1]:
        faults.add("nodes", "has no node `output`")
    for group in groups:
        for index in [index for index in range(max(group, default=-1)) if index not in group][:3]:
            after = group[min(other for other in group if other > index)]
            faults.add("nodes", f"has {quoted(after)}, but not the node before it with number {index}")
