"""The networks as a watch has reported them, so that a watch goes on where one that fell behind has ended."""

from collections.abc import Iterator
from dataclasses import replace

from forwardpass.models import NetworkChange, NetworkInfo


class WatchedNetworks:
    """What was reported to a caller of each network.

    A server ends a watch whose responses are not read fast enough. The next one begins with the current state of every
    network, of which what the caller does not know is reported: networks that are new, changed or gone.

    Attributes:
        has_begun: Whether there was an event since the start, or since it was resumed.
    """

    def __init__(self) -> None:
        self.has_begun = False
        self._networks: dict[str, NetworkInfo] = {}
        self._synced = False
        self._was_resumed = False
        # The networks of the beginning of a watch that goes on.
        self._current: set[str] | None = None

    def resume(self) -> None:
        """Expect the beginning of another watch of the same networks."""
        self.has_begun = False
        self._was_resumed = True
        self._current = set()

    def report(self, change: NetworkChange) -> Iterator[NetworkChange]:
        """Yield what an event means to the caller."""
        self.has_begun = True
        if change.event == "synced":
            yield from self._end_of_beginning(change)
            return
        if self._current is not None:
            self._current.add(change.name)
        if self._was_resumed and self._networks.get(change.name) == change.network:
            return
        if change.network is None:
            self._networks.pop(change.name, None)
        else:
            self._networks[change.name] = change.network
        yield replace(change, event="changed") if self._synced and change.event == "current" else change

    def _end_of_beginning(self, synced: NetworkChange) -> Iterator[NetworkChange]:
        if self._current is not None:
            for name in sorted(self._networks.keys() - self._current):
                del self._networks[name]
                yield NetworkChange(event="deleted", name=name, network=None, revision=synced.revision)
            self._current = None
        if not self._synced:
            self._synced = True
            yield synced
