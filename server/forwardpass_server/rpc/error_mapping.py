"""Mapping of exceptions to statuses: the one place where all errors are counted and logged."""

import logging
import threading
from typing import Any, Final

import grpc
from forwardpass.reasons import REASONS

from forwardpass_server.rpc.context import REQUEST_ID
from forwardpass_server.rpc.status import CODES, MappedError, map_error

log = logging.getLogger(__name__)

STATUS_TRAILER: Final = "grpc-status-details-bin"


class ErrorMapper:
    """Maps the errors of one server to statuses, and counts them. May be used in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts = dict.fromkeys(REASONS, 0)

    def map(self, error: Exception, request_id: str) -> MappedError:
        """Map an exception to the status that the caller gets; log the traceback of an unknown one."""
        if type(error) not in CODES:
            log.error("call failed", exc_info=error, extra={"request_id": request_id})
        mapped = map_error(error, request_id)
        with self._lock:
            self._counts[mapped.reason] += 1
        return mapped

    async def abort(self, context: grpc.aio.ServicerContext[Any, Any], error: Exception, request_id: str) -> None:
        """End a call with an error and all its details."""
        mapped = self.map(error, request_id)
        await context.abort(
            mapped.code,
            mapped.status.message,
            ((STATUS_TRAILER, mapped.status.SerializeToString()), (REQUEST_ID, request_id)),
        )

    def counted(self) -> dict[str, int]:
        """Return how many errors there were of each reason, those with 0 included."""
        with self._lock:
            return dict(self._counts)
