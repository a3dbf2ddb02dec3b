"""A decoder of each target accepts good contents, and what is next to them is accepted or rejected by a typed error."""

import os
import random

import pytest

from tests.fuzzing.judge import judge
from tests.fuzzing.targets import TARGETS, Target

MUTATIONS = 40
CPU_SECONDS = 30
"""Other threads of the tests' process count too."""

pytestmark = pytest.mark.skipif(
    not os.access("/proc/self/clear_refs", os.W_OK), reason="the peak of the memory cannot be measured here"
)


@pytest.mark.parametrize("name", TARGETS)
def test_good_contents(name: str) -> None:
    target = TARGETS[name]
    for content in target.seeds():
        target.decode(content)


@pytest.mark.parametrize("name", TARGETS)
def test_contents_next_to_good_ones(name: str) -> None:
    target, rng = TARGETS[name], random.Random(name)
    seeds = target.seeds()
    target.decode(seeds[0])  # which imports what is needed
    for _ in range(MUTATIONS):
        content = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            place = rng.randrange(len(content))
            content[place : place + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3)) or b"\xff"
        assert judge(target, bytes(content), cpu_seconds=CPU_SECONDS) is None, bytes(content)


def _raise(_: bytes) -> None:
    raise KeyError


@pytest.mark.parametrize(
    ("decode", "what"),
    [
        (_raise, "KeyError at test_targets.py"),
        (lambda _: bytearray(300 * 2**20), "large"),
    ],
)
def test_findings(decode: object, what: str) -> None:
    found = judge(Target(decode=decode, seeds=tuple), b"", cpu_seconds=CPU_SECONDS)  # type: ignore[arg-type]
    assert found is not None
    assert found.what.startswith(what)
