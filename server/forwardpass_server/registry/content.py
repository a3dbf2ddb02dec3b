"""From what is stored to what is served: read when it is needed, and what was made of it kept for a while."""

import hashlib
import logging
import sys
from collections.abc import Iterable
from dataclasses import fields
from typing import Any, Final

from forwardpass.errors import ForwardpassError, NetworkCorruptError
from forwardpass.numerics import Numerics
from forwardpass.spec import Limits, NetworkSpec, from_safetensors

from forwardpass_server.registry.compile import compile_plan, serve, summarize
from forwardpass_server.registry.kept import Kept
from forwardpass_server.registry.state import LoadedVersion, Summary, VersionState
from forwardpass_server.registry.store import Store

log = logging.getLogger(__name__)

SUMMARY_BYTES: Final = 16 * 2**20
"""How much memory summaries may take: those of a thousand usual networks."""

DESCRIPTION_BYTES: Final = 16 * 2**20
"""How much memory descriptions may take, which listings show: those of some tens of thousands of networks."""

_OBJECT_BYTES: Final = 4 * 2**10
"""About what a version's objects take besides its numbers and names."""

_ENTRY_BYTES: Final = 256
"""About what it takes to keep anything at all."""

_NAME_BYTES: Final = 64
"""About what a text takes besides its characters."""

_NO_LIMITS: Final = Limits(**{field.name: sys.maxsize for field in fields(Limits)})
"""What is stored was judged when it came; limits that were lowered since must not make it unreadable."""


_FAULTS_OF_CONTENT: Final = (ForwardpassError, ArithmeticError, LookupError, TypeError, ValueError)
"""What content that makes no sense may cause: the other networks must serve. Out of memory is another story."""


class ContentGoneError(Exception):
    """The store has no content of the version: it was deleted meanwhile, or its row is damaged."""


class Contents:
    """What versions contain: as specs, as plans, as summaries. All methods may be called in any thread.

    Damage is found when a content is read. It stays with its version, whose runtime remembers it.

    Attributes:
        plans: What computes versions, of those that are in memory.
    """

    def __init__(self, store: Store, *, plan_cache_bytes: int, numerics: Numerics) -> None:
        self._store = store
        self._numerics = numerics
        self.plans = Kept(plan_cache_bytes, _loaded_bytes)
        self._summaries = Kept(SUMMARY_BYTES, _summary_bytes)
        self._descriptions = Kept(DESCRIPTION_BYTES, _description_bytes)
        self._kept: tuple[Kept[Any], ...] = (self.plans, self._summaries, self._descriptions)

    def load(self, version: VersionState) -> LoadedVersion:
        """Make what computes a version; a thread that comes while another does so waits for that one.

        Raises:
            NetworkCorruptError: The stored content is damaged.
            ContentGoneError: There is none.
            StoreUnavailableError: The store cannot be read now.
        """
        with version.runtime.loading:
            loaded = self.plans.get(version.runtime)
            if loaded is None:
                spec = self.spec(version)
                try:
                    plan = compile_plan(spec, self._numerics)
                    loaded = serve(version.network, version.number, version.digest, spec, plan)
                except _FAULTS_OF_CONTENT:
                    log.exception("network %s version %d cannot be computed", version.network, version.number)
                    raise _damage(version) from None
                self.plans.put(version.runtime, loaded)
        return loaded

    def spec(self, version: VersionState) -> NetworkSpec:
        """Read a version's spec; raises as `load` does."""
        if version.runtime.damaged:
            raise corrupt(version)
        content = self._store.content(version.network, version.number)
        if content is None:
            raise ContentGoneError
        actual = digest_of(content)
        if actual != version.digest:
            log.error(
                "network %s version %d is damaged: its SHA-256 is %s, not %s",
                version.network,
                version.number,
                actual,
                version.digest,
            )
            raise _damage(version)
        try:
            return from_safetensors(content, limits=_NO_LIMITS)
        except _FAULTS_OF_CONTENT:
            log.exception("network %s version %d cannot be read", version.network, version.number)
            raise _damage(version) from None

    def summary(self, version: VersionState) -> Summary:
        """Return what a version says besides numbers, from memory or else from the store; raises as `load` does."""
        summary = None if version.runtime.damaged else self._summaries.get(version.runtime)
        if summary is None:
            summary = summarize(self.spec(version), self._numerics)
            self._summaries.put(version.runtime, summary)
        return summary

    def description(self, version: VersionState) -> str:
        """Return a version's description, from memory or else from the store; raises as `load` does."""
        description = None if version.runtime.damaged else self._descriptions.get(version.runtime)
        if description is None:
            description = self.spec(version).description
            self._descriptions.put(version.runtime, description)
        return description

    def is_whole(self, version: VersionState) -> bool:
        """Say whether a version's content is what its digest says; what is in memory was seen to be.

        Raises:
            StoreUnavailableError: The store cannot be read now.
        """
        if version.runtime.damaged:
            return False
        if self.plans.get(version.runtime) is not None:
            return True
        content = self._store.content(version.network, version.number)
        return content is not None and digest_of(content) == version.digest

    def keep(self, version: VersionState, loaded: LoadedVersion, summary: Summary) -> None:
        """Keep what was just made for a version."""
        self.plans.put(version.runtime, loaded)
        self._summaries.put(version.runtime, summary)
        self._descriptions.put(version.runtime, summary.description)

    def forget(self, version: VersionState) -> None:
        """Let go of a version that is no more."""
        for kept in self._kept:
            kept.forget(version.runtime)


def digest_of(content: bytes) -> str:
    """Return the SHA-256 of a version's content, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def corrupt(version: VersionState) -> NetworkCorruptError:
    """Make the error of a version that is damaged."""
    return NetworkCorruptError(
        f"the stored content of network {version.network!r} version {version.number} is damaged; "
        "register it again or restore the database",
        resourceType="version",
        resourceName=f"{version.network}/{version.number}",
    )


def _damage(version: VersionState) -> NetworkCorruptError:
    """Remember that a version is damaged, and make its error."""
    version.runtime.damaged = True
    return corrupt(version)


def _loaded_bytes(loaded: LoadedVersion) -> int:
    plan = loaded.plan
    arrays = [plan.mean, plan.scale, *(array for layer in plan.layers for array in layer.arrays)]
    numbers = sum(array.nbytes for array in arrays if array is not None)
    names = [loaded.input_names, loaded.input_names, loaded.output_names, loaded.classes, *loaded.nodes]
    if loaded.typed is not None:
        names += [each.categories for each in loaded.typed.features]
    return _OBJECT_BYTES + numbers + sum(map(_text_bytes, names))


def _summary_bytes(summary: Summary) -> int:
    inputs, outputs = summary.inputs.features, summary.output_metadata
    features = [text for each in inputs for text in (each.name, each.unit, each.description, *each.categories)]
    features += [text for each in outputs for text in (each.unit, each.description)]
    metadata = summary.metadata
    names = [summary.outputs, summary.classes, summary.tags, features, metadata, metadata.values()]
    names += [(summary.description,), summary.output_layers, *(layer.nodes for layer in summary.layers)]
    names += [layer.from_ for layer in summary.layers]
    return _OBJECT_BYTES + sum(map(_text_bytes, names))


def _description_bytes(description: str) -> int:
    return _ENTRY_BYTES + len(description)


def _text_bytes(texts: Iterable[str]) -> int:
    return sum(_NAME_BYTES + len(text) for text in texts)
