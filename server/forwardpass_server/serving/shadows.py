"""Shadows: versions that are computed on the rows of another one, after its responses were sent.

Rows are drawn when their responses are on their way, and wait in a queue of bounded bytes. A thread of low priority
computes them. When the queue is full, rows are dropped and counted. Nothing here can delay or fail a call.
"""

import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from forwardpass.differences import beyond, differences
from forwardpass.errors import ForwardpassError

from forwardpass_server.core import forward, validate_and_fill
from forwardpass_server.serving.encode.classifications import classify
from forwardpass_server.serving.tasks import lower_priority

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from forwardpass.tensors import Array

    from forwardpass_server.registry import LoadedVersion, Registry, Shadowing
    from forwardpass_server.serving.batching_policy import BatchingPolicy

log = logging.getLogger(__name__)

_PIECE: Final = 256
"""About how many bytes a piece takes besides its numbers."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LiveRows:
    """Rows of responses that were sent, and the shadows of the version that computed them.

    Attributes:
        loaded: The version that computed the responses.
        shadowings: Its shadows.
        inputs: `(rows, inputs)`.
        outputs: `(rows, outputs)`, as in the responses.
    """

    loaded: "LoadedVersion"
    shadowings: "tuple[Shadowing, ...]"
    inputs: "Array"
    outputs: "Array"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Piece:
    """Rows that wait to be computed by one shadow; they share no memory with the responses."""

    shadowing: "Shadowing"
    loaded: "LoadedVersion"
    inputs: "Array"
    outputs: "Array"

    @property
    def size(self) -> int:
        return _PIECE + self.inputs.nbytes + self.outputs.nbytes


class Shadows:
    """Computes the shadows of versions. All methods may be called in any thread."""

    def __init__(self, registry: "Registry", policy: "BatchingPolicy") -> None:
        """Begin without a thread; the first rows start one.

        Args:
            registry: Loads the versions.
            policy: How many rows may wait, and how many are computed at once.
        """
        self._registry = registry
        self._policy = policy
        self._changed = threading.Condition()
        self._pieces: deque[_Piece] = deque()
        self._bytes = 0
        self._busy = False
        self._closed = False
        self._thread: threading.Thread | None = None

    def offer(self, live: "Sequence[LiveRows]") -> None:
        """Draw from rows whose responses were sent; queue the drawn ones, or drop them."""
        for each in live:
            for shadowing in each.shadowings:
                drawn = shadowing.statistics.sample(len(each.inputs))
                if len(drawn):
                    self._put(each, shadowing, drawn)

    def wait_until_idle(self, timeout: float) -> bool:
        """Wait until the queue is empty, or for `timeout` seconds; return whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: not (self._pieces or self._busy), timeout)

    def close(self) -> None:
        """End the thread; rows that wait are not computed any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _put(self, live: LiveRows, shadowing: "Shadowing", drawn: "npt.NDArray[np.int64]") -> None:
        of_row = max(1, live.inputs[:1].nbytes + live.outputs[:1].nbytes)
        rows = max(1, self._policy.shadow_piece_bytes // of_row)
        for start in range(0, len(drawn), rows):
            some = drawn[start : start + rows]
            size = _PIECE + of_row * len(some)
            with self._changed:
                # Only this method makes it more, and what it is here may only have become less.
                full = self._closed or self._bytes + size > self._policy.shadow_queue_bytes
                self._bytes += 0 if full else size
            if full:
                shadowing.statistics.count_dropped(len(drawn) - start)
                return
            piece = _Piece(
                shadowing=shadowing,
                loaded=live.loaded,
                inputs=live.inputs[some],
                outputs=live.outputs[some],
            )
            with self._changed:
                self._pieces.append(piece)
                self._changed.notify_all()
                if self._thread is None:
                    self._thread = threading.Thread(target=self._go_on, name="shadows", daemon=True)
                    self._thread.start()

    def _go_on(self) -> None:
        lower_priority()
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._pieces or self._closed)
                if self._closed:
                    return
                piece = self._pieces.popleft()
                self._busy = True
            try:
                self._compute(piece)
            except Exception as error:  # whatever it is, calls must not hear of it
                known = isinstance(error, ForwardpassError)
                if not known:
                    log.exception("version %d cannot be computed as a shadow", piece.shadowing.version.number)
                reason = str(error) if known else "it failed; the server's log has the reason"
                piece.shadowing.statistics.count_failed(len(piece.inputs), reason)
            finally:
                with self._changed:
                    self._bytes -= piece.size

    def _compute(self, piece: _Piece) -> None:
        """Compute a piece and count how its outputs differ from the responses."""
        version, live, statistics = piece.shadowing.version, piece.loaded, piece.shadowing.statistics
        rows = len(piece.inputs)
        loaded = self._registry.get_loaded(version) or self._registry.load(version)
        # The alias may have moved to a version of another kind since the shadow was set.
        if _meaning(loaded) != _meaning(live):
            statistics.count_failed(rows, f"version {live.version}, which serves now, has other inputs or outputs")
            return
        with np.errstate(all="ignore"):
            inputs = piece.inputs.astype(loaded.plan.dtype)
            accepted = loaded.allow_non_finite or bool(np.isfinite(inputs).all())
            if loaded.typed is not None:
                inputs, violations = validate_and_fill(loaded.typed.rules, inputs)
                accepted = violations is None or not len(violations.rejected)
        if not accepted:
            statistics.count_failed(rows, "there were rows with values that the shadow does not accept")
            return
        outputs = forward(loaded.plan, inputs)
        apart = differences(piece.outputs, outputs)
        too_far = beyond(apart, piece.outputs, piece.shadowing.row.tolerance)
        statistics.count_compared(
            rows,
            beyond=int(too_far.any(axis=1).sum()),
            relabeled=_relabeled(live, piece.outputs, loaded, outputs),
            worst=float(apart.max()),
        )


def _meaning(loaded: "LoadedVersion") -> tuple[object, ...]:
    """Return the meaning of a version's inputs and outputs; only versions with the same one can be compared."""
    return loaded.input_names, loaded.typed and loaded.typed.categories, loaded.output_names


def _relabeled(live: "LoadedVersion", ours: "Array", shadow: "LoadedVersion", theirs: "Array") -> int:
    """Count the rows with another label; none where not both are classifiers."""
    labels = (classify(loaded, outputs) for loaded, outputs in ((live, ours), (shadow, theirs)))
    return sum(a.label != b.label for a, b in zip(*labels, strict=False))
