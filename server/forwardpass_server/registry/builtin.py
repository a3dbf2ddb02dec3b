"""The networks of the article, which every registry has from the start.

An introduction to forward propagation: a bank predicts how many transactions a
customer will make. Each proves itself by the article's own example.
"""

from collections.abc import Mapping

from forwardpass.spec import NetworkSpec, from_nodes

_FEATURES = ("children", "accounts")


def builtin_networks() -> Mapping[str, NetworkSpec]:
    """Return the built-in networks by name."""
    one_hidden = {"node_0": [1, 1], "node_1": [-1, 1], "output": [2, -1]}
    two_hidden = {
        "node_0_0": [2, 4],
        "node_0_1": [4, -5],
        "node_1_0": [-1, 2],
        "node_1_1": [1, 2],
        "output": [2, 7],
    }
    return {
        "article-linear": from_nodes(
            one_hidden,
            activation="identity",
            output_activation="identity",
            inputs=_FEATURES,
            outputs=["transactions"],
            description="One hidden layer without activation: predicts a customer's transactions.",
            examples=[{"inputs": [2, 3], "outputs": [9], "tolerance": 0.0}],
        ),
        "article-1-hidden": from_nodes(
            one_hidden,
            activation="relu",
            output_activation="relu",
            inputs=_FEATURES,
            outputs=["transactions"],
            description="One hidden layer with relu on hidden and output nodes.",
            examples=[{"inputs": [2, 3], "outputs": [9], "tolerance": 0.0}],
        ),
        "article-2-hidden": from_nodes(
            two_hidden,
            activation="relu",
            output_activation="identity",
            inputs=_FEATURES,
            outputs=["transactions"],
            description="Two hidden layers with relu, and an output without activation.",
            examples=[{"inputs": [3, 5], "outputs": [182], "tolerance": 0.0}],
        ),
    }
