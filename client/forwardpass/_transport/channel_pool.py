"""Several channels that are used as one: each has a connection of its own, and calls take turns."""

from collections.abc import Callable, Sequence
from itertools import cycle
from typing import Any


class _Rotation:
    """A method on several channels; each call is made on the next one. May be used by several threads."""

    __slots__ = ("_callables",)

    def __init__(self, callables: Sequence[Any]) -> None:
        self._callables = cycle(callables)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return next(self._callables)(*arguments, **options)

    def future(self, *arguments: Any, **options: Any) -> Any:
        """Start a call whose response comes later; a stream is one anyway."""
        starter = next(self._callables)
        return getattr(starter, "future", starter)(*arguments, **options)


class ChannelPool:
    """Channels of `grpc`, with those methods of a channel that clients use."""

    def __init__(self, open_channel: Callable[[], Any], count: int) -> None:
        """Open channels.

        Args:
            open_channel: Opens one, with a connection of its own.
            count: Their number.
        """
        self._channels = [open_channel() for _ in range(count)]

    def unary_unary(self, path: str, **options: Any) -> _Rotation:
        """Return a method with one request and one response."""
        return _Rotation([channel.unary_unary(path, **options) for channel in self._channels])

    def unary_stream(self, path: str, **options: Any) -> _Rotation:
        """Return a method with a stream of responses."""
        return _Rotation([channel.unary_stream(path, **options) for channel in self._channels])

    def stream_unary(self, path: str, **options: Any) -> _Rotation:
        """Return a method with a stream of requests."""
        return _Rotation([channel.stream_unary(path, **options) for channel in self._channels])

    def stream_stream(self, path: str, **options: Any) -> _Rotation:
        """Return a method with streams of both."""
        return _Rotation([channel.stream_stream(path, **options) for channel in self._channels])

    def close(self) -> Any:
        """Close all channels."""
        for channel in self._channels:
            channel.close()


class AsyncChannelPool(ChannelPool):
    """The same with channels of `grpc.aio`."""

    async def close(self) -> None:
        """Close all channels."""
        for channel in self._channels:
            await channel.close()
