"""The order of the workers' tasks: every caller gets its share, and what was begun first ends first."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from forwardpass_server.serving.fair_queue import FairQueue
from hypothesis import given
from hypothesis import strategies as st

TURN = 0.05
STEP = 0.001


@dataclass(eq=False, kw_only=True)
class Job:
    """Work of some steps."""

    caller: str
    order: int
    steps: int
    size: int = 0
    ended: float = 0.0


def run(
    jobs: list[Job], *, until: float = float("inf"), weights: Mapping[str, float] = MappingProxyType({})
) -> dict[str, float]:
    """Do the steps of jobs that are all there at the start; return the seconds that each caller got."""
    queue: FairQueue[Job] = FairQueue(TURN, weights)
    used = dict.fromkeys((job.caller for job in jobs), 0.0)
    left = {job: job.steps for job in jobs}
    for job in jobs:
        queue.push(job, caller=job.caller, size=job.size, order=job.order)
    now = 0.0
    while len(queue) and now < until:
        job = queue.pop()
        now += STEP
        used[job.caller] += STEP
        queue.charge(job.caller, job.size, STEP)
        left[job] -= 1
        job.ended = now
        if left[job]:
            queue.push(job, caller=job.caller, size=job.size, order=job.order)
    return used


def test_work_of_one_size_is_finished_in_the_order_in_which_it_was_begun() -> None:
    jobs = [Job(caller="one", order=order, steps=10) for order in range(50)]
    run(jobs)
    assert [job.ended for job in jobs] == sorted(job.ended for job in jobs)
    assert jobs[0].ended < 11 * STEP


def test_a_caller_waits_for_its_own_work_and_not_for_a_flood() -> None:
    flood = [Job(caller="flood", order=order, steps=60) for order in range(1_000)]
    few = [Job(caller="few", order=1_000 + order, steps=60) for order in range(3)]
    run([*flood, *few], until=5.0)
    assert max(job.ended for job in few) < 2 * 3 * 60 * STEP + 2 * TURN


def test_callers_get_equal_shares_however_much_they_send() -> None:
    jobs = [Job(caller=name, order=n, steps=20) for n in range(400) for name in ("a", "b", "c")[: 1 + n % 3]]
    used = run([Job(caller=job.caller, order=n, steps=job.steps) for n, job in enumerate(jobs)], until=3.0)
    assert max(used.values()) - min(used.values()) <= 2 * TURN


def test_callers_get_shares_by_their_weights() -> None:
    weights = {"double": 2.0, "half": 0.5}
    jobs = [Job(caller=name, order=n, steps=20) for n in range(400) for name in ("one", "double", "half")]
    used = run(
        [Job(caller=job.caller, order=n, steps=job.steps) for n, job in enumerate(jobs)], until=7.0, weights=weights
    )
    shares = [used[name] / weights.get(name, 1.0) for name in used]
    assert max(shares) - min(shares) <= 4 * TURN


def test_short_work_passes_long_work_of_the_same_caller() -> None:
    long = Job(caller="one", order=0, steps=10_000, size=5)
    short = [Job(caller="one", order=1 + n, steps=5) for n in range(20)]
    run([long, *short])
    assert max(job.ended for job in short) < 2 * 20 * 5 * STEP + 2 * TURN
    assert long.ended > 10


def test_time_in_which_a_caller_sent_nothing_is_not_saved_up() -> None:
    queue: FairQueue[str] = FairQueue(TURN)
    for order in range(10_000):
        queue.push("busy", caller="busy", size=0, order=order)
    for _ in range(5_000):
        queue.pop()
        queue.charge("busy", 0, STEP)
    for order in range(5_000):
        queue.push("late", caller="late", size=0, order=10_000 + order)
    got = {"busy": 0, "late": 0}
    for _ in range(1_000):
        name = queue.pop()
        got[name] += 1
        queue.charge(name, 0, STEP)
    assert abs(got["busy"] - got["late"]) <= 2 * TURN / STEP


def serve_once(queue: FairQueue[str], name: str, seconds: float) -> None:
    """Let a caller that has used less than the others do one short job."""
    queue.push(name, caller=name, size=0, order=0)
    assert queue.pop() == name
    queue.charge(name, 0, seconds)


def queue_with_waiting(count: int) -> FairQueue[str]:
    """A queue in which some callers wait that have used a second each."""
    queue: FairQueue[str] = FairQueue(TURN)
    for number in range(count):
        for order in range(2):
            queue.push(f"waiting-{number}", caller=f"waiting-{number}", size=0, order=order)
    for _ in range(count):
        queue.charge(queue.pop(), 0, 1.0)
    return queue


def test_callers_who_have_gone_are_forgotten_once_there_are_many() -> None:
    queue = queue_with_waiting(20)
    for number in range(36):
        serve_once(queue, f"gone-{number}", 0.0)
    assert len(queue._callers._contents) == 56, "two for each that waits, and 16, are kept"
    for number in range(1_000):
        serve_once(queue, f"more-{number}", 0.0)
    assert len(queue._callers._contents) <= 57


def test_the_time_of_the_last_job_counts_however_many_callers_there_were() -> None:
    queue = queue_with_waiting(1)
    for number in range(50):
        serve_once(queue, f"gone-{number}", 0.0)
    serve_once(queue, "one", 0.5)
    for name in ("one", "other"):
        queue.push(name, caller=name, size=0, order=1)
    assert [queue.pop(), queue.pop()] == ["other", "one"]


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 3), st.integers(1, 8)), max_size=60), st.randoms())
def test_everything_comes_out_once_and_in_its_order(given: list[tuple[str, int, int]], random: st.DataObject) -> None:
    queue: FairQueue[Job] = FairQueue(TURN)
    waiting = [Job(caller=who, order=n, steps=steps, size=size) for n, (who, size, steps) in enumerate(given)]
    came: list[Job] = []
    while waiting or len(queue):
        if waiting and (not len(queue) or random.random() < 0.5):  # type: ignore[attr-defined] # a random.Random
            job = waiting.pop(0)
            queue.push(job, caller=job.caller, size=job.size, order=job.order)
        else:
            job = queue.pop()
            queue.charge(job.caller, job.size, job.steps * STEP)
            came.append(job)
    assert len(came) == len(given) == len({job.order for job in came})
    for caller in "abcdef":
        for size in range(4):
            orders = [job.order for job in came if (job.caller, job.size) == (caller, size)]
            assert orders == sorted(orders)
