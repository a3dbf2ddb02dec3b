"""Whether a history of concurrent operations could have happened one after another.

The search of Wing and Gong (https://doi.org/10.1006/jpdc.1993.1015), with the memory of Lowe
(https://www.cs.ox.ac.uk/people/gavin.lowe/LinearizabiltyTesting/): an operation may be next if none that is left
had ended before it began; a state that was reached by the same operations is not looked at again.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from math import inf
from typing import Generic, TypeVar

Call = TypeVar("Call")
State = TypeVar("State", bound=Hashable)


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation(Generic[Call]):
    """One operation as its caller saw it.

    Attributes:
        call: The request.
        response: What came back, or None when nothing did: then it happened at any time since, or never.
        begun: When it was sent, in seconds.
        ended: When the response was there, in seconds; infinity without one.
    """

    call: Call
    response: object = None
    begun: float
    ended: float = inf


def linearizable(
    history: Sequence[Operation[Call]], initial: State, apply: Callable[[State, Call], tuple[State, object]]
) -> bool:
    """Return whether there is an order of the operations that explains every response.

    Args:
        history: The operations, in any order.
        initial: The state before them all.
        apply: Returns the state after a call, and the response to it.
    """
    everything = sorted(history, key=lambda operation: operation.begun)
    finished = sum(1 << place for place, operation in enumerate(everything) if operation.response is not None)
    seen: set[tuple[int, State]] = set()
    ways = [(0, initial)]
    while ways:
        done, state = ways.pop()
        if done & finished == finished:
            return True
        if (done, state) in seen:
            continue
        seen.add((done, state))
        left = [(place, operation) for place, operation in enumerate(everything) if not done & 1 << place]
        first_end = min(operation.ended for _, operation in left)
        for place, operation in left:
            if operation.begun > first_end:
                break
            after, response = apply(state, operation.call)
            if operation.response is None or response == operation.response:
                ways.append((done | 1 << place, after))
    return False
