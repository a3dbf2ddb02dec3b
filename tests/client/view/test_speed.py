"""How often the page's API traces a network of 30-64-32-1 over one connection, as while a slider is dragged."""

import time
from itertools import pairwise

import forwardpass
import numpy as np
import pytest

from tests.support.plain_http import Http
from tests.support.server_process import ServerProcess

WIDTHS = (30, 64, 32, 1)
SECONDS = 5.0
MIN_PER_SECOND = 20
"""What a person sees as a movement; a machine with nothing else to do makes more than twenty times as many."""


@pytest.mark.prove
def test_traces_per_second(view_server: ServerProcess, http: Http) -> None:
    generator = np.random.default_rng(0)
    layers = [
        {"weights": generator.normal(size=(after, before)).tolist(), "activation": "relu"}
        for before, after in pairwise(WIDTHS)
    ]
    spec = {"format": "forwardpass.network/1", "inputs": [f"x{number}" for number in range(30)], "layers": layers}
    with forwardpass.Client(view_server.address) as client:
        client.register("dragged", spec)
    rows = {"rows": {"rows": [{f"x{number}": number / 7 for number in range(30)}]}}
    latencies = []
    end = time.perf_counter() + SECONDS
    while (begun := time.perf_counter()) < end:
        assert http.post("/v1/networks/dragged:trace", rows).status == 200
        latencies.append(time.perf_counter() - begun)
    median, worst = np.percentile(latencies, [50, 99]) * 1e3
    print(f"{len(latencies) / SECONDS:.0f} traces/s; {median:.2f} ms, of a hundred the slowest {worst:.1f} ms")
    assert len(latencies) > MIN_PER_SECOND * SECONDS
