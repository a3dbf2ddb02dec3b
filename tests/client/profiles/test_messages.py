"""Profiles as messages: the way there and back, and what is rejected."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from forwardpass.errors import InvalidFieldError, InvalidRequestError
from forwardpass.profiles import Profile, Subject, check_nodes, from_message, to_message
from forwardpass.tensors import to_tensor
from forwardpass.v1 import profile_pb2 as v1

from tests.client.profiles.test_percentiles import profile_of

SUBJECT = Subject("net", 1, "", datetime(2026, 11, 30, tzinfo=UTC))
ROWS = np.array([[0.0, 1.0, np.nan], [2.0, 1.0, np.nan], [5.0, 1.0, np.nan]])


@pytest.fixture
def profile() -> Profile:
    made = profile_of(ROWS)
    return replace(
        made,
        layers=(replace(made.inputs, name="hidden"),),
        outputs=replace(made.inputs, name="outputs"),
        set_time=SUBJECT.set_time,
        rank_error=0.01,
    )


def test_there_and_back(profile: Profile) -> None:
    assert from_message(to_message(profile), SUBJECT) == profile


def test_the_dict_has_no_nan(profile: Profile) -> None:
    said = profile.as_dict()
    assert said["inputs"]["quantiles"][0] == [0.0, 1.0, None]
    assert said["set_time"] == "2026-11-30T00:00:00+00:00"
    assert [layer["name"] for layer in said["layers"]] == ["hidden"]


def quantiles(*rows: list[float]) -> Callable[[v1.Profile], None]:
    def change(message: v1.Profile) -> None:
        message.probabilities[:] = [0, 0.5, 1]
        for each in (message.inputs, *message.layers, message.outputs):
            each.quantiles.CopyFrom(to_tensor(np.array(rows).T))

    return change


def shares(message: v1.Profile) -> None:
    message.layers[0].zeros.CopyFrom(to_tensor([0.0, 2.0, 0.0]))


def infinite_mean(message: v1.Profile) -> None:
    message.outputs.means.CopyFrom(to_tensor([0.0, np.inf, 0.0]))


def set_probabilities(*numbers: float) -> Callable[[v1.Profile], None]:
    def change(message: v1.Profile) -> None:
        message.probabilities[:] = numbers

    return change


FINE = [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(lambda message: message.ClearField("rows"), "profile.rows is 0", id="rows"),
        pytest.param(lambda message: setattr(message, "rows", 2**60), "profile.rows is 1,152,9", id="many rows"),
        pytest.param(lambda message: setattr(message, "rank_error", 2), "profile.rank_error is 2", id="error"),
        pytest.param(lambda message: setattr(message, "rank_error", np.nan), "profile.rank_error is nan", id="nan"),
        pytest.param(set_probabilities(), "must ascend from 0 to 1", id="none"),
        pytest.param(set_probabilities(0, 0.5), "must ascend from 0 to 1", id="end"),
        pytest.param(set_probabilities(0, 0.5, 0.5, 1), "must ascend from 0 to 1", id="twice"),
        pytest.param(set_probabilities(0, np.nan, 1), "must ascend from 0 to 1", id="nan probability"),
        pytest.param(set_probabilities(*np.linspace(0, 1, 2_000)), "1,001 of them at most", id="many"),
        pytest.param(set_probabilities(0, 1), "profile.inputs.quantiles has the shape", id="shape"),
        pytest.param(quantiles([3, 2, 1], FINE, FINE), "profile.inputs.quantiles must be finite", id="descending"),
        pytest.param(quantiles([1, np.nan, 2], FINE, FINE), "must be finite and ascend", id="partly nan"),
        pytest.param(quantiles([1, 2, np.inf], FINE, FINE), "must be finite and ascend", id="infinite"),
        pytest.param(shares, r"profile.layers\[0\].zeros must be shares", id="shares"),
        pytest.param(infinite_mean, "profile.outputs.means has an infinity", id="mean"),
        pytest.param(lambda message: message.ClearField("outputs"), "profile.outputs.quantiles", id="outputs"),
    ],
)
def test_what_is_no_profile_is_rejected(profile: Profile, change: Callable[[v1.Profile], None], words: str) -> None:
    message = to_message(profile)
    change(message)
    with pytest.raises(InvalidRequestError, match=words):
        from_message(message, SUBJECT)


def test_nodes_are_those_of_the_network(profile: Profile) -> None:
    nodes = profile.inputs.nodes
    layers = {"first": ("a",), "hidden": nodes}
    check_nodes(profile, nodes, layers, nodes)
    for inputs, other, outputs, words in (
        (nodes[:2], layers, nodes, r"profile.inputs.nodes has 3 names; the network has 2"),
        (nodes, layers, (*nodes[:2], "y"), r"profile.outputs.nodes\[2\] is 'x_2'; the network has 'y'"),
        (nodes, {"first": nodes}, nodes, "is 'hidden', which is no layer"),
        (nodes, {"hidden": ("a",)}, nodes, r"profile.layers\[0\].nodes has 3 names"),
    ):
        with pytest.raises(InvalidFieldError, match=words):
            check_nodes(profile, inputs, other, outputs)
    swapped = replace(profile, layers=(profile.layers[0], replace(profile.inputs, name="first")))
    with pytest.raises(InvalidFieldError, match="not in the network's order"):
        check_nodes(swapped, nodes, {"first": nodes, "hidden": nodes}, nodes)


def test_a_large_profile_is_rejected(profile: Profile) -> None:
    wide = profile_of(np.zeros((1, 5_000)))
    with pytest.raises(InvalidFieldError, match="1,048,576 are kept; name fewer layers"):
        to_message(replace(profile, inputs=wide.inputs))
