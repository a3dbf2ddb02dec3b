"""One call of a method: what to send, and how to read the response."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


def _nothing() -> None:
    pass


@dataclass(frozen=True, kw_only=True, slots=True, eq=False, weakref_slot=True)
class Call(Generic[Result]):
    """One call of a method.

    Attributes:
        method: The method's name.
        request: The message; None where the requests are a stream.
        requests: Builds the iterator of messages of an attempt; None where there is one message.
        parse: Builds the result from a message of the response.
        result: The result, where no request is needed.
        check: Raises what the caller's own iterator or callback raised while the requests were built.
        on_response: Called at the first message of a stream of responses, after which no attempt follows.
        on_end: Called when no attempt follows.
        extra_seconds: Time that the call needs beyond the client's default timeout.
        wait_for_ready: Whether to wait for a connection, instead of failing while there is none.
    """

    method: str
    request: Any = None
    requests: Callable[[], Any] | None = None
    parse: Callable[[Any], Result]
    result: Result | None = None
    check: Callable[[], None] = _nothing
    on_response: Callable[[], None] = _nothing
    on_end: Callable[[], None] = _nothing
    extra_seconds: float = 0.0
    wait_for_ready: bool = False

    def messages(self) -> Any:
        """Return what an attempt sends: the message, or an iterator of messages."""
        return self.request if self.requests is None else self.requests()
