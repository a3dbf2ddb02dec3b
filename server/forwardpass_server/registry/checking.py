"""Reads every stored network as a server would, and says what is damaged."""

from collections.abc import Iterator

from forwardpass.errors import ForwardpassError
from forwardpass.numerics import Numerics

from forwardpass_server.registry.compile import check_examples, compile_plan
from forwardpass_server.registry.content import ContentGoneError, Contents
from forwardpass_server.registry.snapshot import Snapshot, network_state
from forwardpass_server.registry.store import Store


def check(store: Store, *, numerics: Numerics) -> Iterator[tuple[str, str | None]]:
    """Read each version, compare its digest, compile it and compute its examples.

    Args:
        store: The store; nothing in it is changed.
        numerics: How versions are computed whose spec does not say.

    Yields:
        What each version is called, as `NAME/NUMBER`, and what is wrong with it, or None.

    Raises:
        StoreUnavailableError: The store cannot be read.
    """
    stored = store.load()
    snapshot = Snapshot.of({row.name: network_state(row, {}) for row in stored.networks}, stored.revision)
    contents = Contents(store, plan_cache_bytes=0, numerics=numerics)
    for version in snapshot.versions():
        problem = None
        try:
            spec = contents.spec(version)
            check_examples(spec, compile_plan(spec, numerics))
        except ContentGoneError:
            problem = "its content is not there"
        except ForwardpassError as error:
            problem = error.message
        yield f"{version.network}/{version.number}", problem
