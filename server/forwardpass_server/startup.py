"""What every process of a server does at its start, the owner of the registry and its worker processes alike."""

import gc
import sys
from typing import TYPE_CHECKING, Final

from forwardpass import spec
from threadpoolctl import threadpool_limits

from forwardpass_server.memory import Arrivals, ByteBudget, MemoryWatch, Sockets, Unsent
from forwardpass_server.oip import INFERENCE_SERVICE
from forwardpass_server.registry import Registry, SqlStore
from forwardpass_server.registry.compile import compile_plan
from forwardpass_server.rpc import (
    HEALTH_SCOPES,
    NETWORK_SERVICE,
    PREDICTION_SERVICE,
    Guard,
    declared_scopes,
    parse_tokens,
    raise_descriptor_limit,
    usable_connections,
)
from forwardpass_server.serving import BatchingPolicy, Dispatcher, Predictor, Shadows, Workers

if TYPE_CHECKING:
    from forwardpass_server.settings import Settings

SERVICES: Final = (NETWORK_SERVICE, PREDICTION_SERVICE, INFERENCE_SERVICE)
"""The services whose methods are declared in our protos."""

SWITCH_INTERVAL: Final = 0.0005
"""Seconds after which a thread that computes in Python gives way to one that wants to; 0.005 by default, which
is longer than most calls take altogether."""

COLLECT_AFTER: Final = 20_000
"""The surplus of new objects over freed ones at which Python collects young cycles; 700 by default."""


def prepare(settings: "Settings") -> None:
    """Set what holds for the whole process, and load all modules that calls may need."""
    raise_descriptor_limit()
    _load_late_modules()
    sys.setswitchinterval(SWITCH_INTERVAL)
    threadpool_limits(settings.blas_threads, user_api="blas")


def make_guard(settings: "Settings", tokens: str | None) -> Guard:
    """Make the guard of all methods.

    Args:
        settings: The settings.
        tokens: The text of the tokens file; None if there is none.

    Raises:
        TokensFileError: A line of the file is wrong.
    """
    path = settings.tokens_file
    known = None if path is None or tokens is None else parse_tokens(tokens, path)
    return Guard(known, declared_scopes(SERVICES) | HEALTH_SCOPES)


def open_registry(settings: "Settings", store: SqlStore) -> Registry:
    """Open the registry of a store, and follow other processes if the store is shared.

    Raises:
        StoreOpenError: The store cannot be read.
    """
    registry = Registry.open(
        store,
        max_networks=settings.max_networks,
        max_versions=settings.max_versions,
        max_example_gflop=settings.max_gflop_per_call,
        plan_cache_bytes=settings.plan_cache_bytes,
        preload=settings.preload_references,
        numerics=settings.numerics,
    )
    registry.follow(poll_seconds=settings.database_poll)
    return registry


def memory_bounds(settings: "Settings", registry: Registry) -> tuple[Arrivals, Arrivals, Unsent, MemoryWatch]:
    """Make what bounds the memory that callers take: requests that arrive, uploads, responses, all connections."""
    shares, sockets = settings.memory, Sockets()
    unsent = Unsent(sockets, max_bytes=shares.responses, seconds=settings.send_timeout)
    watch = MemoryWatch(
        sockets,
        unsent,
        max_memory=shares.max_memory,
        max_arrivals=shares.arrivals,
        receive_timeout=settings.receive_timeout,
        plan_bytes=lambda: registry.plan_cache_size[1],
        max_connections=usable_connections(settings.max_connections),
    )
    arrivals, uploads = (Arrivals(share, settings.receive_timeout) for share in (shares.arrivals, shares.uploads))
    return arrivals, uploads, unsent, watch


def make_dispatcher(
    settings: "Settings", registry: Registry, unsent: Unsent, workers: Workers, policy: BatchingPolicy
) -> Dispatcher:
    """Make what computes requests, by the bounds of the settings and of the policy."""
    computing = settings.memory.computing
    budget = ByteBudget(computing, max_of_caller=computing)
    return Dispatcher(
        Predictor(registry, settings.work_limits, policy, budget),
        Shadows(registry, policy),
        workers,
        policy,
        unsent,
        max_in_flight=settings.max_in_flight,
        max_waiting_bytes=settings.memory.waiting,
    )


def freeze_garbage() -> None:
    """Keep what there is now: looking through 70,000 objects for garbage would hold every call for 20 milliseconds."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


def _load_late_modules() -> None:
    """Read a content and compile it once, so that all modules are loaded: Python loads some of them at their first use.

    That takes a descriptor, which the process may not have when the first network is called.
    """
    network = spec.parse({"format": spec.FORMAT, "inputs": 1, "layers": [{"weights": [[1.0]]}]})
    compile_plan(spec.from_safetensors(spec.to_safetensors(network)))
