"""The work that a request is, and the limits for it; checked before anything is computed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from forwardpass.errors import QuotaExceededError

from forwardpass_server.core import Dense
from forwardpass_server.serving.explanations import ExplainOptions
from forwardpass_server.serving.requests import TraceOptions

if TYPE_CHECKING:
    from forwardpass_server.registry import LoadedVersion
    from forwardpass_server.serving.requests import Computation, OutputOptions


_FEWER_FLOPS: Final[Mapping[type, str]] = {
    ExplainOptions: ", explain fewer outputs, or lower `max_steps`, `samples` or the number of baselines"
}
"""What else makes a call with some computation cheaper."""

_FEWER_BYTES: Final[Mapping[type, str]] = {
    TraceOptions: ", name fewer `layers`, or trace without `contributions`",
    ExplainOptions: ", explain fewer outputs, or name fewer `layers`",
}
"""What else makes the response of such a call smaller."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkLimits:
    """The most that one call may need.

    Attributes:
        max_rows: Rows.
        max_gflop_per_call: Arithmetic: rows times what one takes, twice the weights and the functions, in 1e9
            floating-point operations. A row of an explanation takes what its method computes at most.
        max_response_bytes: Bytes of the numbers in the response.
        max_requests: Requests of one PredictMany.
    """

    max_rows: int = 1_000_000
    max_gflop_per_call: float = 1_000.0
    max_response_bytes: int = 16 * 2**20
    max_requests: int = 10_000

    def check(self, loaded: "LoadedVersion", options: "OutputOptions", rows: int) -> None:
        """Reject a request that is too much work.

        Raises:
            QuotaExceededError: It has too many rows, needs too much arithmetic, or its response would be too large.
        """
        if rows > self.max_rows:
            raise _quota_exceeded("rows", rows, self.max_rows, "max_rows")
        gflop = request_flops(loaded, options.computation, rows) / 1e9
        if gflop > self.max_gflop_per_call:
            raise _quota_exceeded(
                "billion floating-point operations",
                gflop,
                self.max_gflop_per_call,
                "max_gflop_per_call",
                "send fewer rows in each call" + _FEWER_FLOPS.get(type(options.computation), ""),
            )
        size = rows * (response_bytes_per_row(loaded, options.computation) + options.row_bytes)
        self.check_response_bytes(size, options.computation)

    def check_response_bytes(self, size: int, computation: "Computation" = None) -> None:
        """Reject a call whose response would be too large.

        Raises:
            QuotaExceededError: It would be.
        """
        if size > self.max_response_bytes:
            raise _quota_exceeded(
                "bytes in the response",
                size,
                self.max_response_bytes,
                "max_response_bytes",
                "send fewer rows in each call" + _FEWER_BYTES.get(type(computation), ""),
            )

    def check_requests(self, count: int) -> None:
        """Reject a PredictMany with too many requests.

        Raises:
            QuotaExceededError: It has too many.
        """
        if count > self.max_requests:
            raise _quota_exceeded("requests", count, self.max_requests, "max_requests")


def request_flops(loaded: "LoadedVersion", computation: "Computation", rows: int) -> int:
    """Return the most floating-point operations that computing some rows takes."""
    if isinstance(computation, ExplainOptions):
        return computation.flops(loaded.plan, rows)
    return rows * loaded.plan.flops_per_row


def response_bytes_per_row(loaded: "LoadedVersion", computation: "Computation") -> int:
    """Return the bytes of a row's numbers in a response."""
    plan = loaded.plan
    numbers = plan.outputs
    if isinstance(computation, TraceOptions):
        numbers += plan.inputs
        for layer in plan.layers:
            if not computation.layers or layer.name in computation.layers:
                numbers += 2 * layer.outputs + (layer.inputs if layer.merge else 0)
                numbers += layer.weights.size if computation.contributions and isinstance(layer, Dense) else 0
    elif computation is not None:
        numbers += computation.numbers_per_row(plan)
    return numbers * plan.dtype.itemsize


def _quota_exceeded(
    what: str, value: float, limit: float, setting: str, remedy: str = "send fewer rows in each call"
) -> QuotaExceededError:
    return QuotaExceededError(
        f"the call needs {value:,} {what}; the server's limit is {limit:,} (setting `{setting}`); {remedy}",
        quotaValue=value,
        quotaLimit=limit,
        setting=setting,
        subject=what,
    )
