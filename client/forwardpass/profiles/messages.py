"""Profiles as messages, which are checked where they are read."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import numpy as np

from forwardpass.errors import Fault, InvalidFieldError
from forwardpass.profiles.values import Distribution, Profile
from forwardpass.tensors import Array, from_tensor, to_tensor
from forwardpass.v1 import profile_pb2 as v1

MAX_PROFILE_BYTES: Final = 2**20
"""Bytes of the largest profile that is kept: the drivers of databases block other threads while they copy it."""

MAX_ROWS: Final = 2**53
"""The most rows of a profile: a float64 holds every number up to it exactly."""

MAX_PROBABILITIES: Final = 1_001
"""The most quantiles of a node."""


class Subject(NamedTuple):
    """The version that a profile is of.

    Attributes:
        network: The network's name.
        version: The version's number.
        digest: The version's SHA-256.
        set_time: When the server got the profile, in UTC, or None.
    """

    network: str
    version: int
    digest: str
    set_time: datetime | None = None


def to_message(profile: Profile) -> v1.Profile:
    """Return a profile as a message, without the version that it is of.

    Raises:
        InvalidFieldError: The profile is larger than a server keeps.
    """
    message = v1.Profile(
        rows=profile.rows,
        rank_error=profile.rank_error,
        probabilities=profile.probabilities.tolist(),
        inputs=_to_message(profile.inputs),
        layers=map(_to_message, profile.layers),
        outputs=_to_message(profile.outputs),
    )
    check_size(message)
    return message


def check_size(message: v1.Profile) -> None:
    """Reject a profile that is too large to be kept.

    Raises:
        InvalidFieldError: It is.
    """
    size = message.ByteSize()
    if size > MAX_PROFILE_BYTES:
        raise _invalid(
            "profile", f"has {size:,} bytes; at most {MAX_PROFILE_BYTES:,} are kept; name fewer layers to profile"
        )


def from_message(message: v1.Profile, subject: Subject) -> Profile:
    """Return the profile of a message.

    Raises:
        InvalidRequestError: The message is no profile; the error names the field.
    """
    if not 1 <= message.rows <= MAX_ROWS:
        raise _invalid("profile.rows", f"is {message.rows:,}; must be from 1 to {MAX_ROWS:,}")
    if not 0 <= message.rank_error <= 1:
        raise _invalid("profile.rank_error", f"is {message.rank_error}; must be a share of the rows, from 0 to 1")
    probabilities = np.array(message.probabilities, dtype=np.float64)
    if not 2 <= len(probabilities) <= MAX_PROBABILITIES or not _ascends(probabilities):
        raise _invalid("profile.probabilities", f"must ascend from 0 to 1, {MAX_PROBABILITIES:,} of them at most")
    probabilities.setflags(write=False)
    count = len(probabilities)
    return Profile(
        **subject._asdict(),
        rows=message.rows,
        probabilities=probabilities,
        inputs=_from_message(message.inputs, "inputs", count, "profile.inputs"),
        layers=tuple(
            [
                _from_message(layer, layer.name, count, f"profile.layers[{place}]")
                for place, layer in enumerate(message.layers)
            ]
        ),
        outputs=_from_message(message.outputs, "outputs", count, "profile.outputs"),
        rank_error=message.rank_error,
    )


def check_nodes(
    profile: Profile, inputs: Sequence[str], layers: Mapping[str, Sequence[str]], outputs: Sequence[str]
) -> None:
    """Check that a profile has the inputs, the outputs, and layers of a network.

    Args:
        profile: The profile.
        inputs: The names of the network's inputs.
        layers: The names of the nodes of each of its layers, in its order.
        outputs: The names of its outputs.

    Raises:
        InvalidFieldError: It has others.
    """
    _check_names("profile.inputs", profile.inputs.nodes, inputs)
    rest = iter(layers)
    for place, layer in enumerate(profile.layers):
        path = f"profile.layers[{place}]"
        if layer.name not in layers:
            raise _invalid(path, f"is {layer.name!r}, which is no layer of the network")
        if layer.name not in rest:
            raise _invalid(path, f"is {layer.name!r}, which is not in the network's order")
        _check_names(path, layer.nodes, layers[layer.name])
    _check_names("profile.outputs", profile.outputs.nodes, outputs)


def _check_names(path: str, actual: Sequence[str], expected: Sequence[str]) -> None:
    if len(actual) != len(expected):
        raise _invalid(f"{path}.nodes", f"has {len(actual)} names; the network has {len(expected)}")
    for place, (name, right) in enumerate(zip(actual, expected, strict=True)):
        if name != right:
            raise _invalid(f"{path}.nodes[{place}]", f"is {name!r}; the network has {right!r}")


def _to_message(distribution: Distribution) -> v1.Distribution:
    return v1.Distribution(
        name=distribution.name,
        nodes=distribution.nodes,
        quantiles=to_tensor(distribution.quantiles),
        means=to_tensor(distribution.means),
        zeros=to_tensor(distribution.zeros),
        non_finite=to_tensor(distribution.non_finite),
    )


def _from_message(message: v1.Distribution, name: str, probabilities: int, path: str) -> Distribution:
    nodes = len(message.nodes)

    def array(field: str, *shape: int) -> Array:
        numbers = from_tensor(getattr(message, field), path=f"{path}.{field}")
        if numbers.shape != shape:
            raise _invalid(f"{path}.{field}", f"has the shape {[*numbers.shape]}; must be {[*shape]}")
        return numbers

    quantiles = array("quantiles", probabilities, nodes)
    ascends = np.isfinite(quantiles).all(axis=0) & (quantiles[1:] >= quantiles[:-1]).all(axis=0)
    if not (ascends | np.isnan(quantiles).all(axis=0)).all():
        raise _invalid(f"{path}.quantiles", "must be finite and ascend, or all be NaN, of each node")
    means = array("means", nodes)
    if np.isinf(means).any():
        raise _invalid(f"{path}.means", "has an infinity; must be finite, or NaN where no number is finite")
    shares = {field: array(field, nodes) for field in ("zeros", "non_finite")}
    for field, share in shares.items():
        if not ((share >= 0) & (share <= 1)).all():
            raise _invalid(f"{path}.{field}", "must be shares of the rows, from 0 to 1")
    return Distribution(name=name, nodes=tuple(message.nodes), quantiles=quantiles, means=means, **shares)


def _ascends(probabilities: Array) -> bool:
    return bool(probabilities[0] == 0 and probabilities[-1] == 1 and (np.diff(probabilities) > 0).all())


def _invalid(path: str, message: str) -> InvalidFieldError:
    return InvalidFieldError(f"{path} {message}", faults=[Fault(path=path, message=message)], field=path)
