"""Goodput beyond a real server's capacity; at length in `make prove`, which prints the table."""

import pytest

from benchmarks.overload import measure, table


@pytest.mark.prove
def test_goodput_beyond_the_capacity(engine: str) -> None:
    outcomes = measure(engine, seconds=5.0)
    print(f"engine {engine}", *table(outcomes), sep="\n")
    peak = outcomes[0].goodput
    # A call on grpcio costs half a millisecond, whatever becomes of it, and the server has one core.
    highest = 10 if engine == "native" else 2
    for outcome in outcomes[1:]:
        if outcome.load <= highest:
            assert outcome.goodput >= 0.75 * min(outcome.load, 1) * peak, outcome
            assert outcome.health_p99 < 50, outcome
            assert outcome.list_p99 < 50, outcome
            assert outcome.rejection_p99 < 25, outcome
