"""Bound on what is in progress at once."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from grpc import StatusCode

from forwardpass.view.errors import GatewayError

T = TypeVar("T")


class Capacity:
    """Bound on the number of things in progress; one more is rejected."""

    def __init__(self, limit: int, *, of: str) -> None:
        """Make a bound.

        Args:
            limit: The most things at once.
            of: Their name in the plural, for the error.
        """
        self._limit = limit
        self._of = of
        self._count = 0

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Count one more while the context lasts.

        Raises:
            GatewayError: There are as many as there may be.
        """
        if self._count >= self._limit:
            error = GatewayError(StatusCode.UNAVAILABLE, f"{self._limit} {self._of} are in progress; try again")
            error.status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=1)))
            raise error
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1

    async def while_iterating(self, items: AsyncIterator[T]) -> AsyncIterator[T]:
        """Yield the items of an iterator, and count one more until its end.

        Raises:
            GatewayError: There are as many as there may be.
        """
        with self.hold():
            async for item in items:
                yield item
