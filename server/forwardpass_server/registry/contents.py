"""The contents of versions: read from the store when they are first needed, verified, compiled and cached."""

import logging
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import fields
from typing import Final, TypeVar

from cachetools import LRUCache
from forwardpass.errors import ForwardpassError, NetworkCorruptError
from forwardpass.numerics import Numerics
from forwardpass.profiles import Profile, Subject
from forwardpass.profiles import from_message as profile_of_message
from forwardpass.spec import Limits, NetworkSpec, from_safetensors
from forwardpass.spec.forms.safetensors import read_description
from forwardpass.v1.profile_pb2 import Profile as ProfileMessage
from google.protobuf.message import DecodeError

from forwardpass_server.core import held_bytes
from forwardpass_server.registry.compile import compile_plan
from forwardpass_server.registry.loaded_version import LoadedVersion
from forwardpass_server.registry.plan_cache import PlanCache
from forwardpass_server.registry.state import VersionRuntime, VersionState
from forwardpass_server.registry.storage.store import ProfileRow, Store, digest_of
from forwardpass_server.registry.summary import Summary, summarize

log = logging.getLogger(__name__)

SUMMARY_CACHE_BYTES: Final = 16 * 2**20
"""The size of the cache of summaries: those of about a thousand usual networks."""

DESCRIPTION_CACHE_BYTES: Final = 16 * 2**20
"""The size of the cache of descriptions, which listings show: those of some tens of thousands of networks."""

PROFILE_CACHE_BYTES: Final = 32 * 2**20
"""The size of the cache of profiles: 32 of the largest ones."""

_OBJECT_BYTES: Final = 4 * 2**10
"""About what a version's objects take besides its numbers and names."""

_ENTRY_BYTES: Final = 256
"""About what an entry of a cache takes besides its value."""

_NAME_BYTES: Final = 64
"""About what a text takes besides its characters."""

_NO_LIMITS: Final = Limits(**{field.name: sys.maxsize for field in fields(Limits)})
"""Limits apply at registration. If they were lowered since, stored content must stay readable."""

_CONTENT_ERRORS: Final = (ForwardpassError, ArithmeticError, LookupError, TypeError, ValueError)
"""The errors that damaged content may cause; other networks must be served all the same. Not MemoryError."""

_MAX_SMALL_BYTES: Final = 64 * 2**10
"""The largest content that is read together with others."""

_MAX_READ_AT_ONCE: Final = 50
"""The most contents that are read in one transaction, for which a writer may wait."""

Value = TypeVar("Value")


class ContentMissingError(Exception):
    """The store has no content of a version: the version was deleted meanwhile, or its row is damaged."""


class Contents:
    """The contents of versions as specs, plans, summaries and descriptions. All methods may be called in any thread.

    Damage is found when a content is read, and recorded in the version's runtime.

    Attributes:
        plans: The loaded versions.
    """

    def __init__(self, store: Store, *, plan_cache_bytes: int, numerics: Numerics) -> None:
        self._store = store
        self._numerics = numerics
        self.plans = PlanCache(plan_cache_bytes, _loaded_bytes)
        self._lock = threading.Lock()
        self._summaries: LRUCache[VersionRuntime, Summary] = LRUCache(SUMMARY_CACHE_BYTES, _summary_bytes)
        self._descriptions: LRUCache[VersionRuntime, str] = LRUCache(DESCRIPTION_CACHE_BYTES, _description_bytes)
        self._profiles: LRUCache[VersionRuntime, tuple[str, Profile]] = LRUCache(PROFILE_CACHE_BYTES, _profile_bytes)

    def load(self, version: VersionState) -> LoadedVersion:
        """Load a version; if another thread loads it already, wait for that.

        Raises:
            NetworkCorruptError: The stored content is damaged.
            ContentMissingError: The store has no such content.
            StoreUnavailableError: The store cannot be read now.
        """
        with version.runtime.loading:
            loaded = self.plans.get(version.runtime)
            if loaded is None:
                spec = self.read_spec(version)
                try:
                    plan = compile_plan(spec, self._numerics)
                    loaded = LoadedVersion.of(version.network, version.number, version.digest, spec, plan)
                except _CONTENT_ERRORS:
                    log.exception("network %s version %d cannot be computed", version.network, version.number)
                    raise _record_damage(version) from None
                self.plans.put(version.runtime, loaded)
        return loaded

    def read_spec(self, version: VersionState) -> NetworkSpec:
        """Read a version's spec from the store; raises as `load` does."""
        if version.runtime.damaged:
            raise corrupt_error(version)
        content = self._store.read_content(version.network, version.number)
        if content is None:
            raise ContentMissingError
        actual = digest_of(content)
        if actual != version.digest:
            log.error(
                "network %s version %d is damaged: its SHA-256 is %s, not %s",
                version.network,
                version.number,
                actual,
                version.digest,
            )
            raise _record_damage(version)
        try:
            return from_safetensors(content, limits=_NO_LIMITS)
        except _CONTENT_ERRORS:
            log.exception("network %s version %d cannot be read", version.network, version.number)
            raise _record_damage(version) from None

    def read_summary(self, version: VersionState) -> Summary:
        """Return a version's summary from the cache or the store; raises as `load` does."""
        return self._cached(self._summaries, version, lambda: summarize(self.read_spec(version), self._numerics))

    def read_description(self, version: VersionState) -> str:
        """Return a version's description from the cache or the store; raises as `load` does."""
        return self._cached(self._descriptions, version, lambda: self.read_spec(version).description)

    def get_profile(self, version: VersionState, row: ProfileRow) -> Profile | None:
        """Return the profile of a version if it is in memory."""
        with self._lock:
            digest, profile = self._profiles.get(version.runtime, ("", None))
        return profile if digest == row.digest else None

    def cache_descriptions(self, versions: Iterable[VersionState]) -> None:
        """Read the descriptions of small versions, many in a transaction and nothing else of their contents.

        What is large, missing or damaged is left to `read_description`.

        Raises:
            StoreUnavailableError: The store cannot be read now.
        """
        with self._lock:
            unknown = [
                version
                for version in versions
                if version.size_bytes <= _MAX_SMALL_BYTES
                and not version.runtime.damaged
                and version.runtime not in self._descriptions
            ]
        for start in range(0, len(unknown), _MAX_READ_AT_ONCE):
            some = unknown[start : start + _MAX_READ_AT_ONCE]
            contents = self._store.read_contents([(version.network, version.number) for version in some])
            for version, content in zip(some, contents, strict=True):
                if content is not None and digest_of(content) == version.digest:
                    with suppress(*_CONTENT_ERRORS):
                        self._put(self._descriptions, version, read_description(content))

    def read_profile(self, version: VersionState, row: ProfileRow) -> Profile | None:
        """Return the profile of a version from the cache or the store; None if it was deleted meanwhile.

        Raises:
            NetworkCorruptError: The stored profile is damaged; the version itself is not.
            StoreUnavailableError: The store cannot be read now.
        """
        profile = self.get_profile(version, row)
        if profile is not None:
            return profile
        content = self._store.read_profile(version.network, version.number)
        if content is None:
            return None
        subject = Subject(version.network, version.number, version.digest, row.set_time)
        try:
            if digest_of(content) != row.digest:
                raise ValueError("its SHA-256 differs")
            profile = profile_of_message(ProfileMessage.FromString(content), subject)
        except (DecodeError, *_CONTENT_ERRORS) as error:
            log.error("the profile of network %s version %d is damaged: %s", *subject[:2], error)  # noqa: TRY400
            raise corrupt_profile_error(version) from None
        with self._lock, suppress(ValueError):  # the profile is larger than the whole cache
            self._profiles[version.runtime] = row.digest, profile
        return profile

    def is_intact(self, version: VersionState) -> bool:
        """Return whether a version's content has its digest. Content in memory was verified when it was read.

        Raises:
            StoreUnavailableError: The store cannot be read now.
        """
        if version.runtime.damaged:
            return False
        if self.plans.get(version.runtime) is not None:
            return True
        content = self._store.read_content(version.network, version.number)
        return content is not None and digest_of(content) == version.digest

    def put(self, version: VersionState, loaded: LoadedVersion, summary: Summary) -> None:
        """Cache the content of a version that was just registered."""
        self.plans.put(version.runtime, loaded)
        self._put(self._summaries, version, summary)
        self._put(self._descriptions, version, summary.description)

    def delete(self, version: VersionState) -> None:
        """Delete a version from the caches."""
        self.plans.delete(version.runtime)
        with self._lock:
            self._summaries.pop(version.runtime, None)
            self._descriptions.pop(version.runtime, None)
            self._profiles.pop(version.runtime, None)

    def _cached(
        self, cache: LRUCache[VersionRuntime, Value], version: VersionState, read: Callable[[], Value]
    ) -> Value:
        """Return a cached value, or read it and cache it; a damaged version never comes from the cache."""
        if not version.runtime.damaged:
            with self._lock:
                value = cache.get(version.runtime)
            if value is not None:
                return value
        value = read()
        self._put(cache, version, value)
        return value

    def _put(self, cache: LRUCache[VersionRuntime, Value], version: VersionState, value: Value) -> None:
        with self._lock, suppress(ValueError):  # the value is larger than the whole cache
            cache[version.runtime] = value


def corrupt_error(version: VersionState) -> NetworkCorruptError:
    """Return the error for a damaged version."""
    return NetworkCorruptError(
        f"the stored content of network {version.network!r} version {version.number} is damaged; "
        "register it again or restore the database",
        resourceType="version",
        resourceName=f"{version.network}/{version.number}",
    )


def corrupt_profile_error(version: VersionState) -> NetworkCorruptError:
    """Return the error for a damaged profile."""
    return NetworkCorruptError(
        f"the stored profile of network {version.network!r} version {version.number} is damaged; "
        "profile the version again, or delete the profile",
        resourceType="profile",
        resourceName=f"{version.network}/{version.number}",
    )


def _record_damage(version: VersionState) -> NetworkCorruptError:
    """Record that a version is damaged, and return its error."""
    version.runtime.damaged = True
    return corrupt_error(version)


def _loaded_bytes(loaded: LoadedVersion) -> int:
    names = [loaded.input_names, loaded.input_names, loaded.output_names, loaded.classes, *loaded.nodes]
    if loaded.typed is not None:
        names += [each.categories for each in loaded.typed.features]
    return _OBJECT_BYTES + held_bytes(loaded.plan) + sum(map(_text_bytes, names))


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


def _profile_bytes(cached: tuple[str, Profile]) -> int:
    _, profile = cached
    size = _OBJECT_BYTES
    for each in profile.distributions:
        arrays = (each.quantiles, each.means, each.zeros, each.non_finite)
        size += sum(array.nbytes for array in arrays) + _text_bytes(each.nodes)
    return size


def _text_bytes(texts: Iterable[str]) -> int:
    return sum(_NAME_BYTES + len(text) for text in texts)
