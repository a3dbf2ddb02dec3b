"""From what is stored to what is served: digest, parse, compile; damage stays with its version."""

import hashlib
import logging
import sys
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Final

from forwardpass.errors import ForwardpassError
from forwardpass.numerics import Numerics
from forwardpass.spec import Limits, NetworkSpec, from_safetensors

from forwardpass_server.core import Plan
from forwardpass_server.registry.compile import compile_plan, serve, summarize
from forwardpass_server.registry.state import NetworkState, VersionState
from forwardpass_server.registry.store import NetworkRow, Store, VersionRow

log = logging.getLogger(__name__)

_NO_LIMITS: Final = Limits(**{field.name: sys.maxsize for field in fields(Limits)})
"""What is stored was judged when it came; limits that were lowered since must not make it unreadable."""


_FAULTS_OF_CONTENT: Final = (ForwardpassError, ArithmeticError, LookupError, TypeError, ValueError)
"""What content that makes no sense may cause: the other networks must serve. Out of memory is another story."""


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of a version's content, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def parse(name: str, number: int, digest: str, content: bytes) -> NetworkSpec | None:
    """Parse a version's content, or return None where it is damaged; the log says how."""
    actual = digest_of(content)
    if actual != digest:
        log.error("network %s version %d is damaged: its SHA-256 is %s, not %s", name, number, actual, digest)
        return None
    try:
        return from_safetensors(content, limits=_NO_LIMITS)
    except _FAULTS_OF_CONTENT:
        log.exception("network %s version %d cannot be read", name, number)
        return None


def network_state(store: Store, row: NetworkRow, known: Mapping[int, VersionState], numerics: Numerics) -> NetworkState:
    """Make a network's state; versions that are not known are read from the store, `numerics` being the default."""
    versions = {}
    for version in row.versions:
        state = known.get(version.number)
        if state is None or state.digest != version.digest:
            state = _load(store, row.name, version, numerics)
        versions[version.number] = state
    return NetworkState(
        name=row.name,
        versions=versions,
        aliases=row.aliases,
        create_time=row.create_time,
        update_time=row.update_time,
    )


def compiled(name: str, row: VersionRow, spec: NetworkSpec, plan: Plan) -> VersionState:
    """Make the state of a version that is whole."""
    served = serve(name, row.number, row.digest, spec, plan)
    return replace(_damaged(name, row), summary=summarize(spec, served.numerics), served=served)


def _load(store: Store, name: str, row: VersionRow, numerics: Numerics) -> VersionState:
    """Read and compile one version; where that fails, make a state that says so."""
    content = store.content(name, row.number) or b""
    spec = parse(name, row.number, row.digest, content)
    if spec is None:
        return _damaged(name, row)
    try:
        return compiled(name, row, spec, compile_plan(spec, numerics))
    except _FAULTS_OF_CONTENT:
        log.exception("network %s version %d cannot be computed", name, row.number)
        return _damaged(name, row)


def _damaged(name: str, row: VersionRow) -> VersionState:
    return VersionState(
        network=name,
        number=row.number,
        digest=row.digest,
        create_time=row.create_time,
        size_bytes=row.size_bytes,
        summary=None,
        served=None,
    )
