"""What a client knows of the registry's revision, so that no server of several answers it from an older state.

Reading the registry asks for the highest revision that any answer had: what was seen once is not unseen. A
prediction asks for that of the client's own last write: what it registered is there. A client that has
written nothing predicts without, for which servers know a quicker way.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Final

_READS: Final = frozenset(
    {"GetNetwork", "ListAliasMoves", "ListNetworks", "ListShadows", "ListVersions", "WatchNetworks"}
)
_WRITES: Final = frozenset(
    {
        "RegisterNetwork",
        "UploadNetwork",
        "SetAlias",
        "DeleteAlias",
        "DeleteVersion",
        "DeleteNetwork",
        "RollbackAlias",
        "SetShadow",
        "ClearShadow",
    }
)
_PREDICTIONS: Final[dict[str, Callable[[Any], Iterable[Any]]]] = {
    "Predict": lambda request: (request,),
    "Trace": lambda request: (request,),
    "PredictMany": lambda request: request.requests,
}
"""Which messages of a request may have a `min_revision`, by method."""


class Revisions:
    """The revisions that a client has seen and written.

    Attributes:
        seen: The highest one of any answer.
        written: The highest one of an answer to a change.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.written = 0

    def stamp(self, method: str, request: Any) -> Any:
        """Return a request with what the answer must know of."""
        if method in _READS:
            request.min_revision = self.seen
        elif self.written and method in _PREDICTIONS:
            for message in _PREDICTIONS[method](request):
                message.min_revision = self.written
        elif method == "PredictStream":
            return self._each_async(request) if isinstance(request, AsyncIterable) else self._each(request)
        return request

    def note(self, method: str, reply: Any) -> None:
        """Remember what an answer says."""
        revision = getattr(reply, "revision", 0)
        self.seen = max(self.seen, revision)
        if method in _WRITES:
            self.written = max(self.written, revision)

    def forget(self) -> None:
        """Know nothing again: the registry is another one, or was restored."""
        self.seen = self.written = 0

    def _each(self, requests: Iterable[Any]) -> Iterator[Any]:
        for message in requests:
            self._stamp_in_stream(message)
            yield message

    async def _each_async(self, requests: AsyncIterable[Any]) -> AsyncIterator[Any]:
        async for message in requests:
            self._stamp_in_stream(message)
            yield message

    def _stamp_in_stream(self, message: Any) -> None:
        if self.written:
            message.request.min_revision = self.written
