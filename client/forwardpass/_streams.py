"""What the calls with many messages keep in mind while they run; no I/O.

grpc hides what goes wrong while it asks for the next message, and sees only a stream cut short. So
the exceptions of a caller's iterator or callback are kept here and raised when the call has ended.
"""

import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Final

from forwardpass import _replies
from forwardpass.errors import DeadlineExceededError, Fault, ForwardpassError, InvalidFieldError
from forwardpass.models import Prediction
from forwardpass.rows import StreamRequest
from forwardpass.v1.network_service_pb2 import UploadHeader, UploadNetworkRequest
from forwardpass.v1.prediction_service_pb2 import PredictRequest, PredictStreamRequest, PredictStreamResponse

CHUNK_BYTES: Final = 2**20
"""The largest chunk that a server takes."""

Progress = Callable[[int, int], None]
"""Called with the bytes sent so far and the bytes in all."""


class Upload:
    """A file on its way in chunks."""

    def __init__(self, content: bytes, progress: Progress | None) -> None:
        self.size = len(content)
        self._content = content
        self._progress = progress
        self._failure: Exception | None = None

    def requests(self, header: UploadHeader) -> Iterator[UploadNetworkRequest]:
        """Yield the header, then the chunks; tell the progress when grpc has taken one."""
        yield UploadNetworkRequest(header=header)
        for start in range(0, self.size, CHUNK_BYTES):
            end = min(start + CHUNK_BYTES, self.size)
            yield UploadNetworkRequest(chunk=self._content[start:end])
            try:
                if self._progress is not None:
                    self._progress(end, self.size)
            except Exception as error:  # noqa: BLE001 - raised by check
                self._failure = error
                return

    def check(self) -> None:
        """Raise what the progress callback raised."""
        if self._failure is not None:
            raise self._failure


class PredictionStream:
    """The requests of one stream: their ids, and what is wrong with them.

    A request that cannot be made into a message is sent without inputs all the same: the server refuses it in
    its turn, and the refusal is replaced by what we know better. So a stream has one order of answers.

    Args:
        build: Makes the message, without its id.
    """

    def __init__(self, build: Callable[[StreamRequest], PredictRequest]) -> None:
        self._build = build
        self._unanswered: set[str] = set()
        self._refused: dict[str, ForwardpassError] = {}
        self._count = 0
        self._failure: Exception | None = None

    def read(self, requests: Iterable[StreamRequest]) -> Iterator[PredictStreamRequest]:
        """Yield the messages for a caller's requests; end where those end or fail."""
        try:
            for request in requests:
                yield self._message(request)
        except Exception as error:  # noqa: BLE001 - raised by check
            self._failure = error

    async def read_async(self, requests: AsyncIterable[StreamRequest]) -> AsyncIterator[PredictStreamRequest]:
        """Yield the messages for a caller's requests; end where those end or fail."""
        try:
            async for request in requests:
                yield self._message(request)
        except Exception as error:  # noqa: BLE001 - raised by check
            self._failure = error

    def answer(self, reply: PredictStreamResponse) -> tuple[str, Prediction | ForwardpassError]:
        """Read an answer: the id of its request, and the prediction or why there is none."""
        self._unanswered.discard(reply.id)
        refused = self._refused.pop(reply.id, None)
        if refused is not None:
            return reply.id, refused
        return reply.id, _replies.result(reply)

    def check(self) -> None:
        """Raise what the caller's iterator raised."""
        if self._failure is not None:
            raise self._failure

    def _message(self, request: StreamRequest) -> PredictStreamRequest:
        identity = str(self._count) if request.id is None else request.id
        self._count += 1
        if identity in self._unanswered:
            message = f"is {identity!r}, the id of a request that is not answered yet"
            raise InvalidFieldError(f"id {message}", faults=[Fault(path="id", message=message)], field="id")
        self._unanswered.add(identity)
        try:
            return PredictStreamRequest(id=identity, request=self._build(request))
        except ForwardpassError as error:
            self._refused[identity] = error
            return PredictStreamRequest(id=identity, request=PredictRequest())


def countdown(target: str, seconds: float | None) -> Iterator[float | None]:
    """Yield the seconds that are left, each time it is asked, or None when there is no limit.

    Raises:
        DeadlineExceededError: Nothing is left.
    """
    end = None if seconds is None else time.monotonic() + seconds
    while end is None or time.monotonic() < end:
        yield None if end is None else max(end - time.monotonic(), 0.001)
    raise DeadlineExceededError(
        f"{target} was not ready to serve within {seconds:g} s; check that a server runs there", target=target
    )
