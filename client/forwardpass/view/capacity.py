"""Bounds on what is in progress at once: requests, watches, and the bytes that they hold."""

from typing import Self

from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from grpc import StatusCode

from forwardpass.view.errors import GatewayError


class Capacity:
    """Number of things that may be in progress at once; what goes beyond it is rejected."""

    def __init__(self, limit: int, *, of: str) -> None:
        """Make a capacity of which nothing is taken.

        Args:
            limit: The number of things.
            of: Their name in the plural, for the error.
        """
        self._limit = limit
        self._of = of
        self._taken = 0

    @property
    def taken(self) -> int:
        """The number of things in progress."""
        return self._taken

    def share(self, amount: int = 0) -> "Share":
        """Return a share, with some taken already.

        Raises:
            GatewayError: There are not as many left.
        """
        share = Share(self)
        share.take(amount)
        return share

    def take(self, amount: int) -> None:
        """Take some.

        Raises:
            GatewayError: There are not as many left.
        """
        if self._taken + amount > self._limit:
            error = GatewayError(
                StatusCode.UNAVAILABLE,
                f"the page has as many {self._of} in progress as it may, {self._limit:,}; try again",
            )
            error.status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=1)))
            raise error
        self._taken += amount

    def give_back(self, amount: int) -> None:
        """Give some back."""
        self._taken -= amount


class Share:
    """What one request has taken of a capacity; a context gives it back at its end."""

    __slots__ = ("_capacity", "_taken")

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._taken = 0

    def take(self, amount: int) -> None:
        """Take more.

        Raises:
            GatewayError: There are not as many left.
        """
        self._capacity.take(amount)
        self._taken += amount

    def give_back(self) -> None:
        """Give everything back."""
        self._capacity.give_back(self._taken)
        self._taken = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.give_back()
