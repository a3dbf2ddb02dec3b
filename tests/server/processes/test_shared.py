"""The calls in flight of several processes, and the calls of their tokens, counted in memory that they share."""

import hashlib
import sys
from pathlib import Path

import pytest
from forwardpass.errors import DrainingError, QuotaExceededError
from forwardpass_server.cores import available_cores
from forwardpass_server.processes import SharedCounts, SharedInFlight, SharedQuotas
from forwardpass_server.processes.quotas import SharedCallQuota
from forwardpass_server.rpc import CallQuota, Guard, parse_tokens

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="there are no worker processes elsewhere")


def test_the_limit_is_that_of_all_processes() -> None:
    counts = SharedCounts.create(2)
    owner, one, other = (SharedInFlight(10, counts, place) for place in (1, 2, 3))
    assert (owner.enter(), one.enter(6), other.enter(6)) == (1, 6, 3)
    assert (one.enter(), owner.enter()) == (0, 0)
    assert {each.total for each in (owner, one, other)} == {10}
    one.leave(6)
    assert (owner.total, other.enter(20)) == (4, 6)


def test_all_processes_drain_at_once() -> None:
    counts = SharedCounts.create(1)
    owner, worker = SharedInFlight(10, counts, 1), SharedInFlight(10, counts, 2)
    worker.enter(3)
    owner.draining = True
    with pytest.raises(DrainingError):
        worker.enter()
    with pytest.raises(DrainingError):
        worker.check_open()
    assert owner.total == 3


def test_a_process_that_has_ended_has_no_calls() -> None:
    counts = SharedCounts.create(1)
    owner, worker = SharedInFlight(10, counts, 1), SharedInFlight(10, counts, 2)
    assert worker.enter(10) == 10
    counts.set(2, 0)
    assert (owner.total, owner.enter(4)) == (0, 4)


def test_the_quota_of_a_token_is_that_of_all_processes() -> None:
    quotas = SharedQuotas.create(2)
    one, other = (SharedQuotas(quotas.descriptor).quota(1, CallQuota(0.001)) for _ in range(2))
    assert one.take() == 0.0
    assert 0.0 < other.take() <= 1_000.0
    assert quotas.quota(0, CallQuota(0.001)).take() == 0.0, "that of another token"


def test_a_quota_is_full_at_first_however_short_the_machine_has_run() -> None:
    quotas = SharedQuotas.create(1)
    shared = SharedCallQuota(0.001, memoryview(quotas._memory).cast("d"), quotas.descriptor, 0, lambda: 5.0)
    assert shared.take() == 0.0
    assert shared.take() > 0.0


@pytest.mark.parametrize(
    ("line", "credential"),
    [(hashlib.sha256(b"secret").hexdigest(), "secret"), ("cn:reporting", ("cn:reporting",))],
    ids=["secret", "certificate"],
)
def test_guards_of_all_processes_count_the_calls_of_a_token(line: str, credential: str | tuple[str, ...]) -> None:
    text = f"{line} predict calls_per_second=0.001\n"
    one, other = (Guard(parse_tokens(text, Path("tokens")), {"/a/Predict": "predict"}) for _ in range(2))
    quotas = SharedQuotas.create(one.token_count)
    for guard in (one, other):
        guard.share_quotas(quotas.quota)
    one.check("/a/Predict", credential)
    with pytest.raises(QuotaExceededError):
        other.check("/a/Predict", credential)


def test_there_is_a_core() -> None:
    assert available_cores() >= 1
