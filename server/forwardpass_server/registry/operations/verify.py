"""Verification of every stored version: it is read and computed as a server would."""

from collections.abc import Iterator

from forwardpass.errors import ForwardpassError
from forwardpass.numerics import Numerics

from forwardpass_server.registry.compile import check_examples, compile_plan
from forwardpass_server.registry.contents import ContentMissingError, Contents
from forwardpass_server.registry.snapshot import Snapshot, network_state
from forwardpass_server.registry.storage.store import Store


def verify(store: Store, *, numerics: Numerics) -> Iterator[tuple[str, str | None]]:
    """Read each version, verify its digest, compile it and compute its examples; read its profile.

    Args:
        store: The store; it is not changed.
        numerics: How versions are computed whose spec does not say.

    Yields:
        Each version as `NAME/NUMBER`, and its error or its profile's, or None.

    Raises:
        StoreUnavailableError: The store cannot be read.
    """
    stored = store.read_state()
    snapshot = Snapshot.of({row.name: network_state(row, {}) for row in stored.networks}, stored.revision)
    contents = Contents(store, plan_cache_bytes=0, numerics=numerics)
    for version in snapshot.versions():
        error = None
        try:
            spec = contents.read_spec(version)
            check_examples(spec, compile_plan(spec, numerics))
            row = snapshot.networks[version.network].profiles.get(version.number)
            if row is not None:
                contents.read_profile(version, row)
        except ContentMissingError:
            error = "its content is missing"
        except ForwardpassError as raised:
            error = raised.message
        yield f"{version.network}/{version.number}", error
