"""Requests of the methods that take a stream: uploads and predictions.

gRPC ends a stream of requests when the iterator raises, and does not say why. So the exception of a caller's iterator
or callback is kept, and `check` raises it once the call has ended.
"""

from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from typing import Final

from forwardpass import _responses
from forwardpass._requests.fields import invalid
from forwardpass.errors import ForwardpassError
from forwardpass.models import Prediction
from forwardpass.rows import StreamRequest
from forwardpass.v1.network_service_pb2 import UploadHeader, UploadNetworkRequest
from forwardpass.v1.prediction_service_pb2 import PredictRequest, PredictStreamRequest, PredictStreamResponse

CHUNK_BYTES: Final = 2**20
"""Bytes of the largest chunk that a server accepts."""

Progress = Callable[[int, int], None]
"""Called with the number of bytes sent so far, and the number of all bytes."""


class Upload:
    """Upload of a file in chunks."""

    def __init__(self, content: bytes, progress: Progress | None) -> None:
        self.size = len(content)
        self._content = content
        self._progress = progress
        self._error: Exception | None = None

    def requests(self, header: UploadHeader) -> Iterator[UploadNetworkRequest]:
        """Yield the header, then the chunks; report the progress when gRPC has taken a chunk."""
        yield UploadNetworkRequest(header=header)
        for start in range(0, self.size, CHUNK_BYTES):
            end = min(start + CHUNK_BYTES, self.size)
            yield UploadNetworkRequest(chunk=self._content[start:end])
            try:
                if self._progress is not None:
                    self._progress(end, self.size)
            except Exception as error:  # noqa: BLE001 - raised by check
                self._error = error
                return

    def check(self) -> None:
        """Raise the exception of the progress callback, if it raised one."""
        if self._error is not None:
            raise self._error


class PredictionStream:
    """Requests of one stream of predictions, with their ids and the errors found before they are sent.

    A request with such an error is sent without inputs: the server rejects it in its turn, and `parse` returns the
    error found here. So the server alone decides the order of the responses.

    Args:
        build: Builds the message of a request, without its id.
    """

    def __init__(self, build: Callable[[StreamRequest], PredictRequest]) -> None:
        self._build = build
        self._pending: set[str] = set()
        self._errors: dict[str, ForwardpassError] = {}
        self._count = 0
        self._error: Exception | None = None

    def read(self, requests: Iterable[StreamRequest]) -> Iterator[PredictStreamRequest]:
        """Yield the messages of a caller's requests; end where those end or raise."""
        try:
            for request in requests:
                yield self._message(request)
        except Exception as error:  # noqa: BLE001 - raised by check
            self._error = error

    async def read_async(self, requests: AsyncIterable[StreamRequest]) -> AsyncIterator[PredictStreamRequest]:
        """Yield the messages of a caller's requests; end where those end or raise."""
        try:
            async for request in requests:
                yield self._message(request)
        except Exception as error:  # noqa: BLE001 - raised by check
            self._error = error

    def parse(self, response: PredictStreamResponse) -> tuple[str, Prediction | ForwardpassError]:
        """Return the id of a request with its prediction or error."""
        self._pending.discard(response.id)
        error = self._errors.pop(response.id, None)
        return response.id, _responses.result(response) if error is None else error

    def check(self) -> None:
        """Raise the exception of the caller's iterator, if it raised one."""
        if self._error is not None:
            raise self._error

    def _message(self, request: StreamRequest) -> PredictStreamRequest:
        identity = str(self._count) if request.id is None else request.id
        self._count += 1
        if identity in self._pending:
            raise invalid("id", f"is {identity!r}, the id of a request that has no response yet")
        self._pending.add(identity)
        try:
            return PredictStreamRequest(id=identity, request=self._build(request))
        except ForwardpassError as error:
            self._errors[identity] = error
            return PredictStreamRequest(id=identity, request=PredictRequest())
