"""Timing in process."""

import time
from collections.abc import Callable, Sequence

Work = Callable[[], object]


def best(works: Sequence[Work], *, repeats: int = 9, min_seconds: float = 0.005) -> list[float]:
    """Return each work's best time in seconds; the works take turns, so that a noisy moment affects all of them.

    Args:
        works: The works to time.
        repeats: The number of turns.
        min_seconds: The shortest turn; the work is repeated until it takes that long.
    """
    times = [float("inf")] * len(works)
    counts = [1] * len(works)
    for _ in range(repeats):
        for index, work in enumerate(works):
            while True:
                start = time.perf_counter()
                for _ in range(counts[index]):
                    work()
                spent = time.perf_counter() - start
                if spent > min_seconds:
                    break
                counts[index] *= 4
            times[index] = min(times[index], spent / counts[index])
    return times
