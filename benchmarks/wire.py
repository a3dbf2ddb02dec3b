"""Rows over the network: h2load calls a server on a core of its own."""

from collections.abc import Mapping
from functools import partial
from typing import Final

from forwardpass.attribution import AttributionMethod
from forwardpass_server.core import forward

from benchmarks import networks
from benchmarks.ceiling import Ceiling
from benchmarks.lab import SERVER_CORE, Lab, on_core
from benchmarks.load import Load, load
from benchmarks.needs import GRPC_CPP, LOAD, NATIVE
from benchmarks.server import EXPLAIN, INFER, PREDICT, TRACE, Server, call
from benchmarks.table import Finding, Goal, Row, ratio
from benchmarks.timing import best

BATCH: Final = 1000
EXPLAINED: Final[Mapping[AttributionMethod, float]] = {"gradient": 0.3, "integrated_gradients": 0.03}
"""The methods of Explain that are measured, and the wanted part of Trace's rate."""


def ceiling(lab: Lab, *, streams: int) -> Mapping[str, Finding]:
    """Compare one-row calls with a C++ server that sends the same response without computing it."""
    request = networks.request(networks.MIDDLE)
    with Server(lab, networks.MIDDLE) as server:
        response = call(server.address, PREDICT, request)
        ours = load(lab, server.address, PREDICT, request, streams=streams).rate
    with Ceiling(lab, response) as server:
        theirs = load(lab, server.address, PREDICT, request, streams=streams).rate
    return {"": ratio(ours, theirs, calls_per_s=ours, ceiling_calls_per_s=theirs)}


def free_threads(lab: Lab) -> Mapping[str, Finding]:
    """Compare callers who wait for each response with the C++ server's, with all threads on any core."""
    request = networks.request(networks.MIDDLE)
    with Server(lab, networks.MIDDLE) as server:
        response = call(server.address, PREDICT, request)
        server.unpin()
        lone, four = (_unpinned(lab, server.address, request, callers) for callers in (1, 4))
    with Ceiling(lab, response) as server:
        server.unpin()
        lone_ceiling, four_ceiling = (_unpinned(lab, server.address, request, callers) for callers in (1, 4))
    return {
        "1 x 1": ratio(lone.p50, lone_ceiling.p50, p50_us=lone.p50, ceiling_p50_us=lone_ceiling.p50, p99_us=lone.p99),
        "4 x 1": ratio(
            four.rate, four_ceiling.rate, calls_per_s=four.rate, ceiling_calls_per_s=four_ceiling.rate, p99_us=four.p99
        ),
    }


def _unpinned(lab: Lab, address: str, request: bytes, callers: int) -> Load:
    return load(lab, address, PREDICT, request, connections=callers, streams=1, on_its_core=False)


def engines(lab: Lab) -> Mapping[str, Finding]:
    """Compare the two engines."""
    request = networks.request(networks.MIDDLE)
    rates = {}
    for engine in ("native", "grpcio"):
        with Server(lab, networks.MIDDLE, engine=engine) as server:
            rates[engine] = load(lab, server.address, PREDICT, request).rate
    native, grpcio = rates.values()
    return {"": ratio(native, grpcio, native_calls_per_s=native, grpcio_calls_per_s=grpcio)}


def batching(lab: Lab) -> Mapping[str, Finding]:
    """Compare with a server without batching (`benchmarks.unbatched`)."""
    request = networks.request(networks.LARGE)
    rates = []
    for module in ("forwardpass_server", "benchmarks.unbatched"):
        with Server(lab, networks.LARGE, module=module) as server:
            rates.append(load(lab, server.address, PREDICT, request).rate)
    batched, unbatched = rates
    return {"": ratio(batched, unbatched, calls_per_s=batched, unbatched_calls_per_s=unbatched)}


def batches(lab: Lab) -> Mapping[str, Finding]:
    """Compare rows in calls of 1,000 with `forward` on the same rows and core, without calls."""
    plan, rows = networks.plan(networks.MIDDLE), networks.rows(networks.MIDDLE, BATCH)
    with Server(lab, networks.MIDDLE) as server:
        request = networks.request(networks.MIDDLE, BATCH)
        served = BATCH * load(lab, server.address, PREDICT, request, streams=4).rate
    with on_core(SERVER_CORE):
        (seconds,) = best([partial(forward, plan, rows)], repeats=lab.repeats, min_seconds=lab.min_seconds)
    bare = BATCH / seconds
    return {"": ratio(served, bare, rows_per_s=served, bare_rows_per_s=bare)}


def traces(lab: Lab) -> Mapping[str, Finding]:
    """Compare Trace with Predict on one server."""
    request = networks.request(networks.MIDDLE)
    with Server(lab, networks.MIDDLE) as server:
        traced = load(lab, server.address, TRACE, request).rate
        predicted = load(lab, server.address, PREDICT, request).rate
    return {"": ratio(traced, predicted, trace_calls_per_s=traced, predict_calls_per_s=predicted)}


def explanations(lab: Lab) -> Mapping[str, Finding]:
    """Compare Explain, by each of some methods, with Trace on one server."""
    findings: dict[str, Finding] = {}
    with Server(lab, networks.MIDDLE) as server:
        traced = load(lab, server.address, TRACE, networks.request(networks.MIDDLE)).rate
        for method in EXPLAINED:
            explained = load(lab, server.address, EXPLAIN, networks.explain_request(networks.MIDDLE, method)).rate
            findings[method] = ratio(explained, traced, explain_calls_per_s=explained, trace_calls_per_s=traced)
    return findings


def inferences(lab: Lab) -> Mapping[str, Finding]:
    """Compare the Open Inference Protocol's ModelInfer with Predict on one server."""
    with Server(lab, networks.MIDDLE) as server:
        inferred = load(lab, server.address, INFER, networks.infer_request(networks.MIDDLE)).rate
        predicted = load(lab, server.address, PREDICT, networks.request(networks.MIDDLE)).rate
    return {"": ratio(inferred, predicted, infer_calls_per_s=inferred, predict_calls_per_s=predicted)}


ROWS: Final = (
    Row(
        number=1,
        goals={"": Goal(title="Predict, one row, 30-64-32-1, 4 x 16 / C++ ceiling", wanted=0.7)},
        measure=partial(ceiling, streams=16),
        needs=(*LOAD, GRPC_CPP),
    ),
    Row(
        number=2,
        goals={"": Goal(title="Predict, one row, 30-64-32-1, 4 x 1 / C++ ceiling", wanted=0.3)},
        measure=partial(ceiling, streams=1),
        needs=(*LOAD, GRPC_CPP),
    ),
    Row(
        number=4,
        goals={"": Goal(title="Predict, one row, 30-64-32-1, 4 x 16: native / grpcio", wanted=12)},
        measure=engines,
        needs=(*LOAD, NATIVE),
    ),
    Row(
        number=5,
        goals={"": Goal(title="Predict, one row, 784-512-512-10, 4 x 16: batched / each call alone", wanted=3)},
        measure=batching,
        needs=LOAD,
    ),
    Row(
        number=6,
        goals={"": Goal(title="rows/s of 1,000-row calls, 30-64-32-1 / bare forward", wanted=0.7)},
        measure=batches,
        needs=LOAD,
    ),
    Row(
        number=9,
        goals={"": Goal(title="Trace / Predict, one row, 30-64-32-1, 4 x 16", wanted=0.5)},
        measure=traces,
        needs=LOAD,
    ),
    Row(
        number=14,
        goals={"": Goal(title="ModelInfer / Predict, one row, 30-64-32-1, 4 x 16", wanted=0.8)},
        measure=inferences,
        needs=LOAD,
    ),
    Row(
        number=17,
        goals={
            method: Goal(title=f"Explain by {method} / Trace, one row, 30-64-32-1, 4 x 16", wanted=wanted)
            for method, wanted in EXPLAINED.items()
        },
        measure=explanations,
        needs=LOAD,
    ),
    Row(
        number=22,
        goals={
            "1 x 1": Goal(title="p50 of one caller, threads on any core / C++ ceiling", wanted=1.3, at_most=True),
            "4 x 1": Goal(title="Predict, 4 x 1, threads on any core / C++ ceiling", wanted=0.5),
        },
        measure=free_threads,
        needs=(*LOAD, GRPC_CPP),
    ),
)
