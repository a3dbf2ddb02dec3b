"""The bytes that a plan holds, against those that numpy has allocated for it."""

import tracemalloc

import numpy as np
import pytest
from forwardpass import spec
from forwardpass_server.core import Plan, held_bytes
from forwardpass_server.registry.compile import compile_plan

from tests.support.random_layers import SMOOTH, STEPS, random_layer

READS = 384
SMALL = 4_096
"""Bytes that are not of the layer: those of a few numbers."""


def compiled(kind: str, seed: int) -> tuple[Plan, int]:
    """Compile a random layer of a kind; return the plan and the bytes of arrays that compiling it has left."""
    layer = random_layer(np.random.default_rng(seed), kind, READS, "float64", widest=300)
    network = spec.parse({"format": spec.FORMAT, "inputs": READS, "layers": [layer]})
    compile_plan(network)  # what is found out about a shape is kept
    of_numpy = [tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)]
    tracemalloc.start()
    try:
        plan = compile_plan(network)
        traces = tracemalloc.take_snapshot().filter_traces(of_numpy).traces
        return plan, sum(trace.size for trace in traces)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", ["conv", "dense", "recurrent"])
def test_copies_for_products_count(kind: str) -> None:
    plan, allocated = compiled(kind, 2)
    assert abs(held_bytes(plan) - allocated) <= allocated / 10 + SMALL


@pytest.mark.prove
@pytest.mark.parametrize("kind", [*SMOOTH, *STEPS])
def test_the_bytes_of_every_kind_are_those_that_numpy_has_allocated(kind: str) -> None:
    for seed in range(10):
        plan, allocated = compiled(kind, seed)
        assert abs(held_bytes(plan) - allocated) <= allocated / 10 + SMALL
