"""From the doors to the predictor and back: every call gets exactly one answer, its own.

A door hands over whatever waits, without a timer or a setting: an idle server answers a lone
call at once, and a busy one batches by itself. What is light is answered before `take` returns;
what turns out to be long goes to the workers.
"""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from forwardpass_server.serving.batches import Steps
from forwardpass_server.serving.calls import RawRequest, RawResponse
from forwardpass_server.serving.predictor import HEAVY_BYTES, Predictor, expired
from forwardpass_server.serving.questions import PREDICT_MANY
from forwardpass_server.serving.shadows import Answered, Shadows
from forwardpass_server.serving.workers import Pause, Workers


class Transport(Protocol):
    """Where calls come from and answers go. Its functions are called in any thread and must not raise."""

    def send(self, calls: Sequence[RawRequest], answers: Sequence[RawResponse]) -> None:
        """RawResponse calls of this door."""

    def status(self, call: RawRequest, error: Exception) -> bytes:
        """Serialize the `google.rpc.Status` for an error of one of a call's several requests."""


class Dispatcher:
    """Answers the calls of one or more doors. All methods may be called in any thread."""

    def __init__(self, predictor: Predictor, shadows: Shadows) -> None:
        self._predictor = predictor
        self._shadows = shadows
        self._workers = Workers(max(1, min(4, (os.cpu_count() or 1) - 1)))
        self._lock = threading.Lock()
        # The keys of calls that the workers have.
        self._waiting: set[Any] = set()

    def take(self, calls: Sequence[RawRequest], door: Transport) -> None:
        """RawResponse calls: the light ones now, the others by and by."""
        light = []
        for call in calls:
            if call.kind is PREDICT_MANY or len(call.request) > HEAVY_BYTES:
                self._begin_alone(call, door)
            else:
                light.append(call)
        try:
            found = self._predictor.sort(light)
        except Exception as error:  # noqa: BLE001 - every caller must hear of it
            if len(light) == 1:
                door.send(light, [error])
            else:  # one of them broke the reading of all
                for call in light:
                    self.take([call], door)
            return
        if found.refused:
            door.send([call for call, _ in found.refused], [error for _, error in found.refused])
        for call in (*found.behind, *(cold.call for cold in found.cold)):
            self._begin_alone(call, door)
        for batch in found.batches:
            answered: list[Answered] = []
            self._begin(batch.calls, batch.steps(answered), door, answered)

    def cancel(self, key: object) -> bool:
        """Forget a call that nobody waits for any more; return False when it is answered already."""
        with self._lock:
            if key not in self._waiting:
                return False
            self._waiting.discard(key)
            return True

    def abandon(self) -> None:
        """Forget every call, when all who waited are gone: what the workers have ends at its next step."""
        with self._lock:
            self._waiting.clear()

    def close(self) -> None:
        """Finish what was begun, but what nobody waits for."""
        self._workers.close()
        self._shadows.close()

    def _begin_alone(self, call: RawRequest, door: Transport) -> None:
        answered: list[Answered] = []
        steps = self._predictor.steps(call, lambda error: door.status(call, error), answered)
        self._begin([call], steps, door, answered)

    def _begin(
        self, calls: list[RawRequest], steps: Steps[Sequence[RawResponse]], door: Transport, answered: list[Answered]
    ) -> None:
        """Do what is short; leave the rest to the workers.

        Args:
            calls: The calls.
            steps: What answers them.
            door: Where they came from.
            answered: Has what is to be computed beside them when they are answered.
        """
        try:
            next(steps)
        except StopIteration as end:
            door.send(calls, end.value)
            self._shadows.offer(answered)
        except Exception as error:  # noqa: BLE001 - every caller must hear of it
            door.send(calls, [error] * len(calls))
        else:
            with self._lock:
                self._waiting.update(call.key for call in calls)
            self._workers.add(self._rest(calls, steps, door, answered))

    def _rest(
        self, calls: list[RawRequest], steps: Steps[Sequence[RawResponse]], door: Transport, answered: list[Answered]
    ) -> Iterator[Pause | None]:
        """Go on with work until it is done, or nobody waits for it."""
        answers: Sequence[RawResponse]
        while self._anyone_waits(calls, door):
            try:
                pause = next(steps)
            except StopIteration as end:
                answers = end.value
            except Exception as error:  # noqa: BLE001 - every caller must hear of it
                answers = [error] * len(calls)
            else:
                yield pause
                continue
            self._settle(calls, answers, door)
            self._shadows.offer(answered)
            return
        steps.close()

    def _anyone_waits(self, calls: list[RawRequest], door: Transport) -> bool:
        now = time.monotonic()
        late = [call for call in calls if call.expires <= now]
        if late:
            self._settle(late, [expired()] * len(late), door)
        with self._lock:
            return any(call.key in self._waiting for call in calls)

    def _settle(self, calls: Sequence[RawRequest], answers: Sequence[RawResponse], door: Transport) -> None:
        """RawResponse those of the calls that were not answered or cancelled meanwhile."""
        with self._lock:
            pairs = [pair for pair in zip(calls, answers, strict=True) if pair[0].key in self._waiting]
            self._waiting.difference_update(call.key for call, _ in pairs)
        if pairs:
            door.send([call for call, _ in pairs], [answer for _, answer in pairs])
