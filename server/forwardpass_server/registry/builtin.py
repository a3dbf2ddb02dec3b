"""The built-in networks, which every new registry starts with.

They are the networks of an article that introduces forward propagation: a bank predicts the number of a customer's
transactions. The example in each spec is the article's.
"""

import logging
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from forwardpass.errors import StoreUnavailableError
from forwardpass.spec import NetworkSpec, from_nodes, to_safetensors

from forwardpass_server.registry.catalog import Catalog
from forwardpass_server.registry.storage.store import Seed, digest_of

log = logging.getLogger(__name__)

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


def seed_builtin_networks(catalog: Catalog, *, known: AbstractSet[str], max_networks: int) -> None:
    """Add the built-in networks that the store never had; other processes may do so at the same time.

    Args:
        catalog: The catalog.
        known: The names that the store has, or had.
        max_networks: The highest number of networks.
    """
    specs = {name: spec for name, spec in builtin_networks().items() if name not in known}
    room = max(max_networks - len(catalog.snapshot.networks), 0)
    for name in [*specs][room:]:
        log.warning("the built-in network %s is not added: there is no room (setting `max_networks`)", name)
        del specs[name]
    contents = {name: to_safetensors(spec) for name, spec in specs.items()}
    seeds = [Seed(name=name, digest=digest_of(content), content=content) for name, content in contents.items()]
    if not seeds:
        return
    try:
        catalog.store.seed(seeds)
        catalog.reload()
    except StoreUnavailableError as error:
        log.warning("the built-in networks %s are not added: %s", ", ".join(specs), error)
