"""Who calls and who is rejected, by the names of tokens: in the metrics and in the log, and never the token itself."""

import hashlib
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import grpc
import pytest
from forwardpass_server.rpc.caller_counts import (
    ANONYMOUS,
    LOG_SECONDS,
    OTHER,
    REJECTIONS,
    CallerCounts,
    CountsByCaller,
)
from forwardpass_server.rpc.tokens_file import TokensFileError, parse_tokens
from prometheus_client.parser import text_string_to_metric_families

from tests.support.raw_grpc import NETWORKS, PREDICTIONS, call, predict_request, refused
from tests.support.server_process import ServerProcess

PREDICT = f"{PREDICTIONS}Predict"
LIST = f"{NETWORKS}ListNetworks"
REQUEST = predict_request("article-linear", [1, 2])
SECRETS = {name: f"secret-of-{name}" for name in ("busy", "limited", "reader", "quiet")}


def test_callers_beyond_the_bound_share_one_name() -> None:
    counts = CallerCounts(max_callers=2)
    for name in ("a", "b", "c", "d", "a", ANONYMOUS):
        counts.count_calls(name)
        counts.count_rejection(name, "OVERLOADED")
    counted = counts.counted()
    assert counted.calls == {"a": 2, "b": 1, OTHER: 2, ANONYMOUS: 1}
    assert {name: counted.rejections[name, "OVERLOADED"] for name in counted.calls} == counted.calls
    assert len(counted.rejections) == len(counted.calls) * len(REJECTIONS)


@pytest.mark.parametrize("name", [ANONYMOUS, OTHER])
def test_no_token_has_a_reserved_name(name: str) -> None:
    with pytest.raises(TokensFileError, match="name is"):
        parse_tokens(f"{'0' * 64} read name={name}", Path("tokens"))


def test_no_call_of_any_thread_is_lost() -> None:
    counts = CallerCounts()
    with ThreadPoolExecutor(4) as threads:
        for name in ("a", "b", "a", "b"):
            for _ in range(500):
                threads.submit(counts.count_calls, name)
    assert counts.counted().calls == {"a": 1_000, "b": 1_000, ANONYMOUS: 0}


def test_the_counts_of_processes_are_added() -> None:
    worker, owner = CallerCounts(), CallerCounts()
    worker.count_calls("a", 3)
    before = worker.counted()
    assert before.since(CountsByCaller()).calls == {"a": 3}
    worker.count_calls("a")
    worker.count_rejection("a", "OVERLOADED")
    new = worker.counted().since(before)
    assert (new.calls, new.rejections) == ({"a": 1}, {("a", "OVERLOADED"): 1})
    owner.count_calls("a")
    owner.add(new)
    assert owner.counted().calls["a"] == 2
    assert owner.counted().rejections["a", "OVERLOADED"] == 1


def test_a_caller_that_is_rejected_is_logged_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    now = 0.0
    counts = CallerCounts(clock=lambda: now)
    with caplog.at_level(logging.WARNING):
        for _ in range(1_000):
            counts.count_rejection("a", "OVERLOADED")
        counts.count_rejection("b", "OVERLOADED")
        now = LOG_SECONDS
        counts.count_rejection("a", "OVERLOADED")
    messages = [(record.__dict__["caller"], record.getMessage()) for record in caplog.records]
    assert messages == [
        ("a", "rejected 1 calls as OVERLOADED"),
        ("b", "rejected 1 calls as OVERLOADED"),
        ("a", "rejected 1000 calls as OVERLOADED"),
    ]


def test_callers_are_named_in_metrics_and_log(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    options = {"busy": "predict", "limited": "predict", "reader": "read", "quiet": "read"}
    lines = [
        f"{hashlib.sha256(SECRETS[name].encode()).hexdigest()} {scopes} name={name}"
        + " calls_per_second=0.001" * (name == "limited")
        for name, scopes in options.items()
    ]
    tokens = tmp_path / "tokens"
    tokens.touch(mode=0o600)
    tokens.write_text("\n".join(lines))
    server = start_server(f"--tokens-file={tokens}", "--metrics-listen=127.0.0.1:0")
    with grpc.insecure_channel(server.address) as channel:

        def bearer(name: str) -> list[tuple[str, str]]:
            return [("authorization", f"Bearer {SECRETS.get(name, name)}")]

        for _ in range(3):
            call(channel, PREDICT, REQUEST, metadata=bearer("busy"))
        call(channel, PREDICT, REQUEST, metadata=bearer("limited"))
        call(channel, LIST, b"", metadata=bearer("reader"))
        assert refused(channel, PREDICT, REQUEST, metadata=bearer("limited")).reason == "QUOTA_EXCEEDED"
        assert refused(channel, LIST, b"", metadata=bearer("busy")).reason == "PERMISSION_DENIED"
        assert refused(channel, PREDICT, REQUEST, metadata=bearer("secret-of-nobody")).reason == "UNAUTHENTICATED"
        assert refused(channel, LIST, b"").reason == "UNAUTHENTICATED"
    text = _scrape(server)
    samples = [each for family in text_string_to_metric_families(text) for each in family.samples]
    calls = {each.labels["caller"]: each.value for each in samples if each.name == "forwardpass_caller_calls_total"}
    assert calls == {"busy": 4, "limited": 2, "reader": 1, ANONYMOUS: 2}
    rejections = {
        (each.labels["caller"], each.labels["reason"]): each.value
        for each in samples
        if each.name == "forwardpass_caller_rejections_total" and each.value
    }
    assert rejections == {
        ("limited", "QUOTA_EXCEEDED"): 1,
        ("busy", "PERMISSION_DENIED"): 1,
        (ANONYMOUS, "UNAUTHENTICATED"): 2,
    }
    assert server.stop() == 0
    log = server.log.read_text()
    entries = [json.loads(each) for each in log.splitlines() if "rejected" in each]
    assert {(each["caller"], each["message"]) for each in entries} == {
        ("limited", "rejected 1 calls as QUOTA_EXCEEDED"),
        ("busy", "rejected 1 calls as PERMISSION_DENIED"),
        (ANONYMOUS, "rejected 1 calls as UNAUTHENTICATED"),
    }
    assert "secret-of" not in text + log


def _scrape(server: ServerProcess) -> str:
    host, _, path = server.metrics.removeprefix("http://").partition("/")
    connection = HTTPConnection(host, timeout=60)
    connection.request("GET", f"/{path}")
    text = connection.getresponse().read().decode()
    connection.close()
    return text
