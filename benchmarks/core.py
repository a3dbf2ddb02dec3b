"""The core beside plain numpy, as ratios within one run; BLAS on one thread.

`exact` is what the server computes: every row has the same bits in any company. `plain` is
`activation(X @ W.T + b)`, whose bits depend on the company.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from forwardpass_server.core import Dense, Plan, forward, trace
from threadpoolctl import threadpool_limits

SIZES = ((2, 2, 1), (30, 64, 32, 1), (784, 512, 512, 10))
ROWS = (1, 32, 1024)


def main() -> None:
    """Print a line for each network, dtype and number of rows."""
    threadpool_limits(1, user_api="blas")
    print(f"{'network':18s} {'dtype':8s} {'rows':>5s} {'exact':>10s} {'plain/exact':>12s} {'trace/exact':>12s}")
    for sizes in SIZES:
        for dtype in ("float32", "float64"):
            plan = network(sizes, dtype)
            for rows in ROWS:
                x = np.random.default_rng(1).standard_normal((rows, sizes[0])).astype(dtype)
                works = [partial(work, plan, x) for work in (forward, straight, trace)]
                exact, plain, traced = best(works)
                print(
                    f"{'-'.join(map(str, sizes)):18s} {dtype:8s} {rows:5d} {exact * 1e6:7.1f} us "
                    f"{plain / exact:12.2f} {traced / exact:12.2f}"
                )


def network(sizes: tuple[int, ...], dtype: str) -> Plan:
    """Make a network of random weights with relu."""
    rng = np.random.default_rng(0)
    layers = [
        Dense(
            name=f"layer_{index}",
            weights=(rng.standard_normal((outputs, inputs)) / np.sqrt(inputs)).astype(dtype),
            bias=rng.standard_normal(outputs).astype(dtype),
            activation="relu",
        )
        for index, (inputs, outputs) in enumerate(itertools.pairwise(sizes))
    ]
    return Plan(dtype=np.dtype(dtype), layers=tuple(layers))


def straight(plan: Plan, x: np.ndarray) -> np.ndarray:
    """Compute the network as one would write it down."""
    for layer in plan.layers:
        x = np.maximum(x @ layer.columns + layer.bias, 0)
    return x


def best(works: Sequence[Callable[[], object]], repeats: int = 9) -> list[float]:
    """Return each work's best time in seconds; they take turns, so that a noisy moment hits all."""
    times = [float("inf")] * len(works)
    for _ in range(repeats):
        for index, work in enumerate(works):
            count = 1
            while True:
                start = time.perf_counter()
                for _ in range(count):
                    work()
                spent = time.perf_counter() - start
                if spent > 0.005:
                    break
                count *= 4
            times[index] = min(times[index], spent / count)
    return times


if __name__ == "__main__":
    main()
