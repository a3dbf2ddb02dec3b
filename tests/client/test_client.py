"""Requests and responses of both clients, with a server that computes by plain loops."""

import json
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pandas as pd
import pytest
from forwardpass import Prediction, StreamRequest, errors, spec
from forwardpass.tensors import from_tensor
from forwardpass.v1 import attribution_pb2 as attribution_v1
from forwardpass.v1 import network_service_pb2 as networks_v1

from tests.support.client_factory import ClientFactory
from tests.support.fake_server import ARTICLE, FakeServer, outputs_of

DOCUMENT: dict[str, Any] = {
    "format": spec.FORMAT,
    "inputs": ["children", "accounts"],
    "layers": [{"weights": [[1.0, 2.0]], "activation": "relu"}],
}
NAME = "article-2-hidden"
ROWS = [[3.0, 5.0], [2.0, -1.0], [0.5, 0.25]]
REQUEST = StreamRequest(network=NAME, rows=ROWS)
NAMED = [{"children": row[0], "accounts": row[1]} for row in ROWS]


class TestPredict:
    @pytest.mark.parametrize(
        "rows",
        [
            pytest.param(ROWS, id="lists"),
            pytest.param(np.array(ROWS), id="float64"),
            pytest.param(np.array(ROWS, dtype=np.float32), id="float32"),
            pytest.param(NAMED, id="dicts"),
            pytest.param(pd.DataFrame(NAMED), id="frame"),
            pytest.param(pd.DataFrame(NAMED)[["accounts", "children"]], id="reordered frame"),
        ],
    )
    @pytest.mark.parametrize("name", ARTICLE)
    def test_gives_what_plain_loops_give(self, client: Any, name: str, rows: Any) -> None:
        prediction = client.predict(name, rows)
        assert prediction.outputs.tolist() == outputs_of(ARTICLE[name], ROWS)
        assert prediction.network == name
        assert prediction.version == 1
        assert prediction.digest == spec.digest(ARTICLE[name])
        assert prediction.output_names == ARTICLE[name].outputs
        assert prediction.labels == ()

    @pytest.mark.parametrize("row", [ROWS[0], np.array(ROWS[0]), NAMED[0], pd.Series(NAMED[0])])
    def test_one_row_has_outputs_of_one_row(self, client: Any, row: Any) -> None:
        assert client.predict(NAME, row).outputs.tolist() == outputs_of(ARTICLE[NAME], ROWS[:1])

    def test_outputs_are_read_only(self, client: Any) -> None:
        outputs = client.predict(NAME, ROWS).outputs
        assert not outputs.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            outputs[0] = 1

    def test_the_same_prediction_is_equal(self, client: Any) -> None:
        assert client.predict(NAME, ROWS) == client.predict(NAME, ROWS)
        assert client.predict(NAME, ROWS) != client.predict(NAME, ROWS[:2])

    @pytest.mark.parametrize(("version", "sent"), [("", ""), ("production", "production"), ("3", "3"), (3, "3")])
    def test_a_version_is_a_number_or_an_alias(
        self, client: Any, fake: FakeServer, version: str | int, sent: str
    ) -> None:
        client.predict(NAME, ROWS, version=version)
        client.trace(NAME, ROWS, version=version)
        client.version(NAME, version=version)
        client.spec(NAME, version=version)
        client.set_alias(NAME, "stable", version)
        assert [call.requests[0].version for call in fake.calls] == [sent] * 5


class TestPredictMany:
    def test_returns_results_in_order(self, client: Any, fake: FakeServer) -> None:
        requested = [StreamRequest(network=name, rows=rows) for name in ARTICLE for rows in (ROWS, ROWS[0], NAMED)]
        responses = client.predict_many(requested)
        assert responses == tuple(client.predict(one.network, one.rows) for one in requested)
        assert fake.methods()[0] == "PredictMany"
        assert len(fake.calls[0].requests[0].requests) == len(requested)

    def test_returns_the_error_of_one_and_the_predictions_of_others(self, client: Any) -> None:
        requested: list[Any] = [
            StreamRequest(network=NAME, rows=["one", "two"]),  # type: ignore[list-item] # texts
            StreamRequest(network=NAME, rows=ROWS, version=3),
            StreamRequest(network="nowhere", rows=ROWS),
            StreamRequest(network=NAME, rows=[]),
        ]
        responses = client.predict_many(iter(requested))
        kinds = [errors.InvalidTensorError, Prediction, errors.NotFoundError, errors.ShapeMismatchError]
        assert [type(response) for response in responses] == kinds

    def test_what_cannot_be_sent_is_not(self, client: Any, fake: FakeServer) -> None:
        assert client.predict_many([]) == ()
        (response,) = client.predict_many([StreamRequest(network=NAME, rows=[])])
        assert isinstance(response, errors.ShapeMismatchError)
        assert fake.calls == []

    def test_an_error_of_the_call_is_raised(self, client: Any, fake: FakeServer) -> None:
        fake.fail(grpc.StatusCode.PERMISSION_DENIED)
        with pytest.raises(errors.PermissionDeniedError):
            client.predict_many([StreamRequest(network=NAME, rows=ROWS)])


class TestTrace:
    def test_shows_every_layer_as_plain_loops_do(self, client: Any) -> None:
        trace = client.trace(NAME, ROWS[0])
        assert [layer.activation.tolist() for layer in trace.layers] == [[[26.0, 0.0]], [[0.0, 26.0]], [[182.0]]]
        assert trace.layers[0].pre_activation.tolist() == [[26.0, -13.0]]
        assert [layer.function for layer in trace.layers] == ["relu", "relu", "identity"]
        assert trace.inputs.tolist() == [ROWS[0]]
        assert trace.input_names == ("children", "accounts")
        assert trace.outputs.tolist() == [[182.0]]
        assert trace.layers[0].contributions is None
        assert trace.layers[0].bias is None

    def test_contributions_and_bias_sum_to_the_pre_activation(self, client: Any) -> None:
        for layer in client.trace(NAME, ROWS, contributions=True).layers:
            sums = layer.contributions.sum(axis=2) + layer.bias
            assert np.array_equal(sums, layer.pre_activation)

    @pytest.mark.parametrize("layers", [["hidden_1"], ("hidden_1",), "hidden_1", {"hidden_1": 1}.keys()])
    def test_returns_the_requested_layers(self, connect: ClientFactory, fake: FakeServer, layers: Any) -> None:
        requested = list(layers) if not isinstance(layers, str | list | tuple) else layers
        assert [layer.name for layer in connect(fake.address).trace(NAME, ROWS, layers=requested).layers] == [
            "hidden_1"
        ]

    def test_parameters_are_in_the_function(self, client: Any) -> None:
        layer = {"weights": [[1, 1]], "activation": {"name": "leaky_relu", "negative_slope": 0.1}}
        version = client.register("leaky", {**DOCUMENT, "layers": [layer]}).info
        assert version.layers[0].function == "leaky_relu(negative_slope=0.1)"
        assert version.layers[0].parameters == {"negative_slope": 0.1}


class TestExplain:
    def test_has_an_axis_of_outputs_where_several_are_explained(self, client: Any) -> None:
        one = client.explain(NAME, ROWS)
        assert one.attributions.shape == (3, 2)
        assert one.explained_outputs == (ARTICLE[NAME].outputs,) * 3
        assert one.explained_values.tolist() == [row[0] for row in outputs_of(ARTICLE[NAME], ROWS)]
        assert one.baseline_outputs.tolist() == [0.0] * 3
        assert one.input_values.tolist() == ROWS
        assert one.input_names == ("children", "accounts")
        assert (one.completeness_error, one.standard_error, one.steps, one.converged) == (None, None, (), ())
        client.register("pair", {**DOCUMENT, "layers": [{"weights": [[1.0, 2.0], [3.0, 4.0]]}]})
        two = client.explain("pair", [1.0, 10.0])
        assert two.attributions.tolist() == [[[1.0, 20.0], [3.0, 40.0]]]
        assert two.explained_values.tolist() == [[21.0, 43.0]]
        assert two.baseline_outputs.shape == (1, 2)
        assert len(two.explained_outputs[0]) == 2

    def test_sends_what_is_named(self, client: Any, fake: FakeServer) -> None:
        explanation = client.explain(
            NAME,
            ROWS,
            version=3,
            method="layer_conductance",
            outputs="output",
            layers=["hidden_1"],
            baseline="means",
            scale="logits",
            tolerance=0.5,
            max_steps=64,
        )
        (layer,) = explanation.layers
        assert (layer.name, layer.attributions.shape) == ("hidden_1", (3, 2))
        assert (explanation.method, explanation.scale) == ("layer_conductance", "logits")
        sent = fake.calls[0].requests[0]
        assert (sent.version, [*sent.outputs], [*sent.layers]) == ("3", ["output"], ["hidden_1"])
        assert sent.baseline.standard == attribution_v1.STANDARD_BASELINE_MEANS
        assert (sent.tolerance, sent.max_steps, sent.HasField("samples"), sent.HasField("seed")) == (
            0.5,
            64,
            False,
            False,
        )

    def test_a_default_is_not_sent(self, client: Any, fake: FakeServer) -> None:
        client.explain(NAME, ROWS, baseline="zeros")
        assert not fake.calls[0].requests[0].HasField("baseline")

    @pytest.mark.parametrize(
        ("baseline", "field"), [([1.0, 2.0], "tensor"), (NAMED[0], "rows"), (pd.DataFrame(NAMED), "columns")]
    )
    def test_a_baseline_has_every_form_of_rows(self, client: Any, fake: FakeServer, baseline: Any, field: str) -> None:
        client.explain(NAME, ROWS, baseline=baseline, method="shapley_values", samples=9, seed=7)
        sent = fake.calls[0].requests[0]
        assert sent.baseline.WhichOneof("inputs") == field
        assert (sent.samples, sent.seed) == (9, 7)

    @pytest.mark.parametrize(
        "options",
        [
            {"method": "magic"},
            {"method": 3},
            {"method": []},
            {"scale": "decibels"},
            {"baseline": "ones"},
            {"outputs": [3]},
            {"layers": [None]},
            {"tolerance": "small"},
            {"tolerance": True},
            {"samples": 1.5},
            {"max_steps": 2**63},
            {"seed": True},
        ],
        ids=str,
    )
    def test_what_cannot_be_sent_is_an_error(self, client: Any, fake: FakeServer, options: dict[str, Any]) -> None:
        with pytest.raises(errors.InvalidFieldError) as invalid:
            client.explain(NAME, ROWS, **options)
        assert [fault.path for fault in invalid.value.faults] == [*options]
        assert fake.calls == []


class TestRegister:
    @pytest.mark.parametrize("form", ["dict", "spec", "json path", "json str", "safetensors"])
    def test_takes_every_form_of_a_spec(self, client: Any, fake: FakeServer, tmp_path: Path, form: str) -> None:
        parsed = spec.parse(DOCUMENT)
        json_file, tensor_file = tmp_path / "n.json", tmp_path / "n.safetensors"
        json_file.write_text(json.dumps(DOCUMENT))
        tensor_file.write_bytes(spec.to_safetensors(parsed))
        forms = {
            "dict": DOCUMENT,
            "spec": parsed,
            "json path": json_file,
            "json str": str(json_file),
            "safetensors": tensor_file,
        }
        registered = client.register("mine", forms[form])
        assert registered.digest == spec.digest(parsed)
        assert registered.created is True
        assert fake.methods() == ["RegisterNetwork"]
        assert client.spec("mine") == parsed

    def test_sends_its_options(self, client: Any, fake: FakeServer) -> None:
        client.register("mine", DOCUMENT, validate_only=True, keep_latest=True)
        client.register("mine", DOCUMENT)
        requested = [(c.requests[0].validate_only, c.requests[0].keep_latest) for c in fake.calls]
        assert requested == [(True, True), (False, False)]

    @pytest.mark.parametrize(
        ("name", "content", "kind", "says"),
        [
            pytest.param("Mine", DOCUMENT, errors.InvalidFieldError, "network is", id="name"),
            pytest.param("mine", {}, errors.InvalidNetworkError, "format", id="empty"),
            pytest.param("mine", 3, errors.InvalidFieldError, "is a int", id="number"),
            pytest.param("mine", json.dumps(DOCUMENT), errors.InvalidFieldError, "from_json", id="JSON text"),
            pytest.param("mine", "/nowhere/network.json", FileNotFoundError, "nowhere", id="no file"),
        ],
    )
    def test_rejects_before_it_sends(
        self, client: Any, fake: FakeServer, name: str, content: Any, kind: type[Exception], says: str
    ) -> None:
        with pytest.raises(kind, match=says):
            client.register(name, content)
        assert fake.calls == []

    def test_reports_all_faults_at_once(self, client: Any) -> None:
        layer = {"weights": [[1.0, "x"]], "activation": "rellu"}
        with pytest.raises(errors.InvalidNetworkError) as caught:
            client.register("mine", {**DOCUMENT, "layers": [layer]})
        paths = {fault.path for fault in caught.value.faults}
        assert paths == {"spec.layers[0].weights[0][1]", "spec.layers[0].activation"}

    def test_uploads_what_is_large(self, client: Any, fake: FakeServer) -> None:
        progress: list[tuple[int, int]] = []
        registered = client.register("large", _large(), keep_latest=True, progress=lambda *sent: progress.append(sent))
        assert fake.methods() == ["UploadNetwork"]
        header, *chunks = fake.calls[0].requests
        content = spec.to_safetensors(_large())
        assert header.header == networks_v1.UploadHeader(network="large", size_bytes=len(content), keep_latest=True)
        assert b"".join(chunk.chunk for chunk in chunks) == content
        assert {len(chunk.chunk) for chunk in chunks[:-1]} == {2**20}
        assert registered.digest == spec.digest(_large())
        assert [total for _, total in progress] == [len(content)] * len(chunks)
        assert [sent for sent, _ in progress] == sorted({sent for sent, _ in progress})
        assert progress[-1][0] == len(content)

    def test_raises_what_the_progress_raised(self, client: Any, fake: FakeServer) -> None:
        def stop(sent: int, _: int) -> None:
            if sent > 2**21:
                raise KeyError("enough")

        with pytest.raises(KeyError, match="enough"):
            client.register("large", _large(), progress=stop)
        assert "large" not in fake.networks

    def test_an_upload_has_a_second_more_for_each_mebibyte(self, connect: ClientFactory, fake: FakeServer) -> None:
        connect(fake.address, timeout=5.0).register("large", _large())
        assert fake.calls[0].seconds_left == pytest.approx(5 + 9, abs=3)

    def test_says_an_uploads_own_timeout(self, connect: ClientFactory, fake: FakeServer) -> None:
        connect(fake.address, timeout=5.0).register("large", _large(), timeout=50)
        assert fake.calls[0].seconds_left == pytest.approx(50, abs=3)


def _large() -> spec.NetworkSpec:
    weights = np.random.default_rng(1).normal(size=(1_100, 1_050))
    return spec.parse({"format": spec.FORMAT, "inputs": 1_050, "layers": [{"weights": weights}]})


class TestManagement:
    def test_a_network(self, client: Any) -> None:
        network = client.network(NAME)
        assert network.name == NAME
        assert network.aliases == {"latest": 1}
        assert network.create_time == datetime(1970, 1, 1, tzinfo=UTC)

    def test_a_version(self, client: Any) -> None:
        version = client.version(NAME, version="latest")
        assert version.number == 1
        assert version.aliases == ("latest",)
        assert version.inputs == 2
        assert [feature.name for feature in version.features] == ["children", "accounts"]
        assert [(layer.name, layer.width) for layer in version.layers] == [
            ("hidden_0", 2),
            ("hidden_1", 2),
            ("output", 1),
        ]
        assert version.parameter_count == ARTICLE[NAME].parameter_count

    def test_the_whole_spec(self, client: Any) -> None:
        assert client.spec(NAME) == ARTICLE[NAME]

    def test_all_networks_over_several_pages(self, client: Any, fake: FakeServer) -> None:
        assert [network.name for network in client.networks()] == sorted(ARTICLE)
        assert fake.methods() == ["ListNetworks"] * 2

    def test_all_versions_over_several_pages(self, client: Any, fake: FakeServer) -> None:
        assert [version.number for version in client.versions(NAME)] == [5, 4, 3, 2, 1]
        assert fake.methods() == ["ListVersions"] * 3

    def test_changes(self, client: Any, fake: FakeServer) -> None:
        assert client.set_alias(NAME, "stable", 1).name == NAME
        assert client.delete_alias(NAME, "stable").name == NAME
        assert client.delete_version(NAME, 1).name == NAME
        assert client.delete_network(NAME) == 7
        assert fake.methods() == ["SetAlias", "DeleteAlias", "DeleteVersion", "DeleteNetwork"]
        assert fake.calls[2].requests[0].version == 1

    @pytest.mark.parametrize(
        "call",
        [
            pytest.param(lambda client: client.delete_version(NAME, "latest"), id="alias to delete"),
            pytest.param(lambda client: client.delete_version(NAME, True), id="bool to delete"),
            pytest.param(lambda client: client.predict(NAME, ROWS, version=None), id="no version"),
            pytest.param(lambda client: client.predict(NAME, ROWS, version=True), id="bool as version"),
            pytest.param(lambda client: client.predict(None, ROWS), id="no name"),
            pytest.param(lambda client: client.trace(NAME, ROWS, layers=[3]), id="number as layer"),
            pytest.param(lambda client: client.set_alias(NAME, "Stable", 1), id="odd alias"),
            pytest.param(lambda client: client.predict(NAME, ROWS, timeout=0), id="no time"),
            pytest.param(lambda client: next(client.watch(prefix=3)), id="number as prefix"),
        ],
    )
    def test_odd_arguments_are_rejected_before_they_are_sent(
        self, client: Any, fake: FakeServer, call: Callable[[Any], Any]
    ) -> None:
        with pytest.raises(errors.InvalidFieldError, match=r"needed (is|are)|must"):
            call(client)
        assert fake.calls == []


class TestTimeouts:
    @pytest.mark.parametrize(
        ("default", "options", "expected"),
        [
            pytest.param(20.0, {}, 20.0, id="the client's"),
            pytest.param(20.0, {"timeout": 5}, 5.0, id="the call's"),
            pytest.param(None, {}, None, id="none at all"),
            pytest.param(20.0, {"timeout": None}, None, id="none for the call"),
        ],
    )
    def test_the_server_gets_the_timeout(
        self,
        connect: ClientFactory,
        fake: FakeServer,
        default: float | None,
        options: dict[str, Any],
        expected: float | None,
    ) -> None:
        connect(fake.address, timeout=default).predict(NAME, ROWS, **options)
        left = fake.calls[0].seconds_left
        if expected is None:
            assert left is None or left > 1e6
        else:
            assert left == pytest.approx(expected, rel=0.5)

    def test_ten_seconds_by_default(self, client: Any, fake: FakeServer) -> None:
        client.predict(NAME, ROWS)
        assert fake.calls[0].seconds_left == pytest.approx(10, rel=0.5)

    def test_a_timeout_that_is_over_raises(self, client: Any, fake: FakeServer) -> None:
        hold = fake.hold()
        while not fake.calls:  # a call whose time is over before it comes is none
            with pytest.raises(errors.DeadlineExceededError, match=r"within 0\.1 s") as caught:
                client.predict(NAME, ROWS, timeout=0.1)
            assert isinstance(caught.value, TimeoutError)
        assert fake.calls[0].ended.wait(60)
        hold.set()


class TestRetries:
    @pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
    @pytest.mark.parametrize(
        ("call", "codes"),
        [
            pytest.param(lambda client: client.predict(NAME, ROWS), "both", id="Predict"),
            pytest.param(lambda client: client.predict_many([REQUEST]), "both", id="PredictMany"),
            pytest.param(lambda client: client.trace(NAME, ROWS), "both", id="Trace"),
            pytest.param(lambda client: client.explain(NAME, ROWS), "both", id="Explain"),
            pytest.param(lambda client: client.network(NAME), "both", id="GetNetwork"),
            pytest.param(lambda client: list(client.networks()), "both", id="ListNetworks"),
            pytest.param(lambda client: next(client.watch()), "both", id="WatchNetworks"),
            pytest.param(lambda client: client.register("mine", DOCUMENT), "one", id="RegisterNetwork"),
            pytest.param(lambda client: client.set_alias(NAME, "stable", 1), "one", id="SetAlias"),
            pytest.param(lambda client: client.alias_moves(NAME, "stable"), "both", id="ListAliasMoves"),
            pytest.param(lambda client: client.rollback(NAME, "stable"), "none", id="RollbackAlias"),
            pytest.param(lambda client: client.shadows(NAME), "both", id="ListShadows"),
            pytest.param(lambda client: client.set_shadow(NAME, 2, of=1, share=0.5), "one", id="SetShadow"),
            pytest.param(lambda client: client.clear_shadow(NAME, of=1), "none", id="ClearShadow"),
            pytest.param(lambda client: client.delete_network(NAME), "none", id="DeleteNetwork"),
            pytest.param(lambda client: client.delete_version(NAME, 1), "none", id="DeleteVersion"),
            pytest.param(lambda client: client.delete_profile(NAME), "none", id="DeleteProfile"),
            pytest.param(lambda client: client.delete_alias(NAME, "stable"), "none", id="DeleteAlias"),
        ],
    )
    def test_only_what_is_safe_is_repeated(
        self, client: Any, fake: FakeServer, call: Callable[[Any], Any], codes: str, code: grpc.StatusCode
    ) -> None:
        fake.fail(code, times=2)
        if codes == "both" or (codes == "one" and code is grpc.StatusCode.UNAVAILABLE):
            call(client)
            assert len(fake.calls) >= 3
            assert not fake.script
        else:
            with pytest.raises(errors.UnavailableError):
                call(client)
            assert len(fake.calls) == 1

    def test_none_when_switched_off(self, connect: ClientFactory, fake: FakeServer) -> None:
        fake.fail(grpc.StatusCode.UNAVAILABLE)
        with pytest.raises(errors.UnavailableError):
            connect(fake.address, retries=False).predict(NAME, ROWS)
        assert len(fake.calls) == 1

    def test_large_requests_are_repeated_too(self, client: Any, fake: FakeServer) -> None:
        rows = np.ones((60_000, 2))
        fake.fail(grpc.StatusCode.UNAVAILABLE)
        assert len(client.predict("article-linear", rows).outputs) == len(rows)
        assert [from_tensor(call.requests[0].tensor).shape for call in fake.calls] == [rows.shape] * 2


class TestMetadata:
    def test_the_user_agent_names_us(self, client: Any, fake: FakeServer) -> None:
        client.predict(NAME, ROWS)
        assert fake.calls[0].metadata["user-agent"].startswith("forwardpass-python/")

    def test_a_token_is_sent_with_every_call(self, connect: ClientFactory, fake: FakeServer) -> None:
        client = connect(fake.address, token="sesame")  # noqa: S106 - a test's token
        client.predict(NAME, ROWS)
        client.register("large", _large())
        next(client.watch())
        assert [call.metadata["authorization"] for call in fake.calls] == ["Bearer sesame"] * 3

    def test_without_a_token_there_is_no_header(self, client: Any, fake: FakeServer) -> None:
        client.predict(NAME, ROWS)
        assert "authorization" not in fake.calls[0].metadata


class TestThreads:
    def test_share_one_client(self, client: Any) -> None:
        def one(number: int) -> bool:
            row = [float(number), 1.0]
            return bool(client.predict("article-linear", row).outputs.tolist() == [[3.0 * number + 1.0]])

        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(one, range(200)))


class TestClosing:
    def test_a_closed_client_says_so(self, client: Any) -> None:
        client.predict(NAME, ROWS)
        client.close()
        client.close()
        for call in (
            lambda: client.predict(NAME, ROWS),
            lambda: client.predict_many([REQUEST]),
            lambda: next(client.watch()),
            lambda: next(client.networks()),
            client.ready,
            lambda: client.wait_until_ready(1),
        ):
            with pytest.raises(RuntimeError, match="the client is closed"):
                call()
        assert "closed" in repr(client)

    def test_an_unused_client_can_be_closed(self, connect: ClientFactory) -> None:
        connect("localhost:50051").close()

    def test_with_closes(self, connect: ClientFactory, fake: FakeServer) -> None:
        with connect(fake.address) as client:
            assert client.predict("article-linear", [2, 3]).outputs == 9
        with pytest.raises(RuntimeError, match="closed"):
            client.predict(NAME, ROWS)

    def test_a_call_in_flight_raises_at_the_end(self, client: Any, fake: FakeServer) -> None:
        waiting = threading.Event()

        def wait(_: object) -> None:
            waiting.wait(60)

        fake.script.append(wait)
        with ThreadPoolExecutor(1) as thread:
            call = thread.submit(client.predict, NAME, ROWS)
            while not fake.calls:
                waiting.wait(0.01)
            client.close()
            try:
                with pytest.raises(RuntimeError, match="the client is closed"):
                    call.result(60)
            finally:
                waiting.set()
