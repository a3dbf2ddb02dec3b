"""Taking time in process."""

import time
from collections.abc import Callable, Sequence

Work = Callable[[], object]


def best(works: Sequence[Work], *, repeats: int = 9, slot: float = 0.005) -> list[float]:
    """Return each work's best time in seconds; they take turns, so that a noisy moment hits all.

    Args:
        works: What to do.
        repeats: How many turns.
        slot: The least time of one turn in seconds; the work is done as often as that takes.
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
                if spent > slot:
                    break
                counts[index] *= 4
            times[index] = min(times[index], spent / counts[index])
    return times
