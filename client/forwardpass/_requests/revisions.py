"""Revisions of the registry that a client knows, so that no response comes from an older state.

A call that reads the registry names the highest revision of any earlier response: a client never sees the past again. A
prediction names the revision of the client's own last write: a client finds what it registered. A client that has
written nothing predicts without a revision, which servers handle faster.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Any, Final

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from forwardpass._transport.methods import SERVICES
from forwardpass.method_options import min_revision_place, scope_of

_Messages = Callable[[Any], Iterable[Any]]


def _messages(method: MethodDescriptor) -> _Messages | None:
    """Return a function that finds the messages of a request with a `min_revision`, or None where there are none."""
    place = min_revision_place(method)
    if place is None:
        return None
    if not place:
        return lambda request: (request,)

    def messages(request: Any) -> Iterable[Any]:
        value = getattr(request, place)
        return (value,) if isinstance(value, Message) else value

    return messages


_METHODS: Final = tuple(method for service in SERVICES for method in service.methods)
_MESSAGES: Final[dict[str, _Messages]] = {
    method.name: messages for method in _METHODS if (messages := _messages(method)) is not None
}
_READS: Final = frozenset(method.name for method in _METHODS if scope_of(method) == "read")
_WRITES: Final = frozenset(method.name for method in _METHODS if scope_of(method) == "write")
_STREAMS: Final = frozenset(method.name for method in _METHODS if method.client_streaming)


class Revisions:
    """The revisions that a client has seen and written.

    Attributes:
        seen: The highest revision of any response.
        written: The highest revision of a response to a write.
    """

    def __init__(self) -> None:
        self.seen = 0
        self.written = 0

    def stamp(self, method: str, request: Any) -> Any:
        """Return a request with the revision that the server must have reached."""
        messages = _MESSAGES.get(method)
        if messages is None:
            return request
        if method in _STREAMS:
            each = self._each_async if isinstance(request, AsyncIterable) else self._each
            return each(request, messages)
        return _stamped(request, messages, self.seen if method in _READS else self.written)

    def note(self, method: str, response: Any) -> None:
        """Remember the revision of a response."""
        revision = getattr(response, "revision", 0)
        self.seen = max(self.seen, revision)
        if method in _WRITES:
            self.written = max(self.written, revision)

    def forget(self) -> None:
        """Forget all revisions: the registry is another one, or was restored from a backup."""
        self.seen = self.written = 0

    def _each(self, requests: Iterable[Any], messages: _Messages) -> Iterator[Any]:
        for request in requests:
            yield _stamped(request, messages, self.written)

    async def _each_async(self, requests: AsyncIterable[Any], messages: _Messages) -> AsyncIterator[Any]:
        async for request in requests:
            yield _stamped(request, messages, self.written)


def _stamped(request: Any, messages: _Messages, revision: int) -> Any:
    if revision:
        for message in messages(request):
            message.min_revision = revision
    return request
