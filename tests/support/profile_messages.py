"""Profiles for tests that keep them."""

import numpy as np
from forwardpass.profiles import Distribution, Profile, to_message
from forwardpass.v1.profile_pb2 import Profile as ProfileMessage
from forwardpass_server.registry import Registry


def profile_message(registry: Registry, name: str, number: int, rows: int) -> ProfileMessage:
    """Make a profile of a version, with the number of rows as its largest values."""
    loaded = registry.load(registry.version(name, str(number)))

    def distribution(title: str, nodes: tuple[str, ...]) -> Distribution:
        ends = np.stack([np.zeros(len(nodes)), np.full(len(nodes), float(rows))])
        nothing = np.zeros(len(nodes))
        return Distribution(name=title, nodes=nodes, quantiles=ends, means=nothing, zeros=nothing, non_finite=nothing)

    layers = zip(loaded.plan.layers, loaded.nodes, strict=True)
    made = Profile(
        network=name,
        version=number,
        digest=loaded.digest,
        rows=rows,
        probabilities=np.array([0.0, 1.0]),
        inputs=distribution("inputs", loaded.input_names),
        layers=tuple(distribution(layer.name, nodes) for layer, nodes in layers),
        outputs=distribution("outputs", loaded.output_names),
    )
    return to_message(made)
