"""Explain over the wire: what a hand or plain numpy computes, the same bits in every batch, and typed errors."""

import hashlib
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import grpc
import numpy as np
import pytest
from forwardpass import Client, Explanation, errors, spec
from forwardpass.tensors import to_tensor
from forwardpass.v1 import attribution_pb2 as v1
from forwardpass.v1.prediction_service_pb2 import ExplainRequest
from forwardpass.v1.tensor_pb2 import Tensor

from tests.support.random_graphs import random_graph
from tests.support.raw_grpc import PREDICTIONS, refused
from tests.support.server_process import ServerProcess, wait_until

EXPLAIN = f"{PREDICTIONS}Explain"
ROOT = Path(__file__).parents[3]
NAME = "article-1-hidden"
PERSON = {"age": 55, "bmi": 32, "region": "south", "smoker": True}


@pytest.fixture
def client(server: ServerProcess) -> Any:
    with Client(server.address, timeout=60) as client:
        yield client


def random_network(sizes: list[int], activations: list[str], seed: int, **fields: Any) -> spec.NetworkSpec:
    rng = np.random.default_rng(seed)
    layers = [
        {"weights": rng.standard_normal((outputs, inputs)), "bias": rng.standard_normal(outputs), "activation": name}
        for inputs, outputs, name in zip(sizes[:-1], sizes[1:], activations, strict=True)
    ]
    return spec.parse({"format": spec.FORMAT, "inputs": sizes[0], "layers": layers, **fields})


class TestByHand:
    """The network of the article: 2 children and 3 accounts give 5 and 1 in the hidden layer, and 2 x 5 - 1 = 9."""

    @pytest.mark.parametrize(
        ("method", "shares"),
        [
            ("gradient", [2 * 1 - 1 * -1, 2 * 1 - 1 * 1]),
            ("input_x_gradient", [2 * 3, 3 * 1]),
            ("integrated_gradients", [6, 3]),
            ("layer_conductance", [6, 3]),
            # Without children 2 x 3 - 3 = 3 is left, without accounts 2 x 2 - 0 = 4.
            ("feature_ablation", [9 - 3, 9 - 4]),
            # The mean of both orders: children first 4 and then 6, accounts first 3 and then 5.
            ("shapley_values", [(4 + 6) / 2, (3 + 5) / 2]),
        ],
    )
    def test_the_shares(self, client: Client, method: Any, shares: list[float]) -> None:
        explanation = client.explain(NAME, [2, 3], method=method)
        np.testing.assert_allclose(explanation.attributions, [shares], rtol=1e-12)
        assert explanation.outputs.tolist() == [[9.0]]
        assert explanation.explained_values.tolist() == [9.0]
        assert explanation.method == method
        assert (explanation.baseline_outputs is None) == (method in {"gradient", "input_x_gradient"})

    def test_the_nodes(self, client: Client) -> None:
        for method in ("integrated_gradients", "layer_conductance"):
            explanation = client.explain(NAME, [2, 3], method=method, layers=["hidden"])
            (hidden,) = explanation.layers
            np.testing.assert_allclose(hidden.attributions, [[10, -1]], rtol=1e-12)
            np.testing.assert_allclose(explanation.attributions, [[6, 3]], rtol=1e-12)
        both = client.explain(NAME, [2, 3], method="layer_conductance").layers
        assert [layer.name for layer in both] == ["hidden", "output"]
        assert client.explain(NAME, [2, 3]).layers == ()

    def test_baselines(self, client: Client) -> None:
        one = client.explain(NAME, [2, 3], baseline=[1, 1], method="shapley_values")
        assert one.baseline_outputs is not None
        assert one.baseline_outputs.tolist() == [4.0]
        assert one.attributions.sum() == 5.0
        several = client.explain(NAME, [2, 3], baseline=[[0, 0], [1, 1]], method="shapley_values")
        zeros = client.explain(NAME, [2, 3], method="shapley_values")
        np.testing.assert_allclose(several.attributions, (one.attributions + zeros.attributions) / 2)
        assert several.baseline_outputs is not None
        assert several.baseline_outputs.tolist() == [2.0]

    @pytest.mark.parametrize("rows", [[], None, {"children": object()}])
    def test_an_error_of_a_baseline_names_it(self, client: Client, rows: Any) -> None:
        with pytest.raises(errors.ForwardpassError, match=r"^baseline: ") as caught:
            client.explain(NAME, [2, 3], baseline=rows)
        assert caught.value.faults
        assert all(fault.path.startswith("baseline.rows") for fault in caught.value.faults)


def classifier(outputs: list[str], classes: list[str]) -> dict[str, Any]:
    activation = "sigmoid" if len(outputs) == 1 else "softmax"
    weights = np.arange(2.0 * len(outputs)).reshape(-1, 2).tolist()
    layers = [{"weights": weights, "activation": activation}]
    return {"format": spec.FORMAT, "inputs": 2, "outputs": outputs, "classes": classes, "layers": layers}


class TestClasses:
    def test_a_class_names_the_output_that_stands_for_it(self, client: Client) -> None:
        client.register("explain-classes", classifier(["o_0", "o_1", "o_2"], ["x", "y", "o_2"]))
        by_class = client.explain("explain-classes", [1, 2], outputs=["y", "x", "o_2"])
        by_name = client.explain("explain-classes", [1, 2], outputs=["o_1", "o_0", "o_2"])
        assert by_class.explained_outputs == by_name.explained_outputs == (("o_1", "o_0", "o_2"),)
        assert by_class.explained_classes == (("y", "x", "o_2"),)
        assert by_class.output_classes == ("x", "y", "o_2")
        assert by_class.attributions.tobytes() == by_name.attributions.tobytes()
        chosen = client.explain("explain-classes", [[1, 2], [-5, -5]])
        assert chosen.explained_classes == (("o_2",), ("x",))
        assert chosen.labels == ("o_2", "x")

    def test_a_single_output_stands_for_the_second_of_two(self, client: Client) -> None:
        client.register("explain-binary", classifier(["p"], ["no", "yes"]))
        found = client.explain("explain-binary", [-1, -2], outputs="yes")
        assert (found.labels, found.explained_outputs, found.explained_classes) == (("no",), (("p",),), (("yes",),))
        assert client.explain("explain-binary", [-1, -2]).explained_classes == (("yes",),)
        with pytest.raises(errors.InvalidFieldError, match="explain 'yes': the shares of 'no' are the same"):
            client.explain("explain-binary", [1, 2], outputs="no")

    def test_no_classes(self, client: Client) -> None:
        found = client.explain(NAME, [2, 3])
        assert (found.output_classes, found.explained_classes) == ((), ())

    def test_a_name_of_two_outputs_is_refused(self, client: Client) -> None:
        client.register("explain-mixed", classifier(["a", "b"], ["b", "c"]))
        with pytest.raises(
            errors.InvalidFieldError, match=r"the class of another one, 'a'; say 'c'.* 'a' for"
        ) as caught:
            client.explain("explain-mixed", [1, 2], outputs="b")
        assert caught.value.faults[0].path == "outputs[0]"
        for remedy, output in (("c", "b"), ("a", "a")):
            assert client.explain("explain-mixed", [1, 2], outputs=remedy).explained_outputs == ((output,),)
        client.register("explain-swapped", classifier(["a", "b"], ["b", "a"]))
        with pytest.raises(errors.InvalidFieldError, match="register the network with another name for the output"):
            client.explain("explain-swapped", [1, 2], outputs="b")

    def test_names_that_are_wrong(self, client: Client) -> None:
        client.register("explain-classes", classifier(["o_0", "o_1", "o_2"], ["x", "y", "o_2"]))
        with pytest.raises(
            errors.InvalidFieldError, match="no such output or class; it has 'o_0', 'o_1', 'o_2', 'x', 'y'"
        ):
            client.explain("explain-classes", [1, 2], outputs="zzz")
        with pytest.raises(errors.InvalidFieldError, match="is 'x' once more"):
            client.explain("explain-classes", [1, 2], outputs=["o_0", "x"])


class TestAgainstNumpy:
    def test_tanh(self, client: Client) -> None:
        network = random_network([3, 5, 2], ["tanh", "identity"], seed=1)
        client.register("explain-tanh", network)
        (first, second), steps = network.layers, 4_000
        row = np.array([0.5, -1.5, 2.0])
        hidden = np.tanh(first.weights @ row + first.bias)
        gradient = second.weights @ ((1 - hidden**2)[:, np.newaxis] * first.weights)
        found = client.explain("explain-tanh", row, method="gradient")
        np.testing.assert_allclose(found.attributions, [gradient], rtol=1e-12)
        assert found.explained_outputs == (network.outputs,)
        # The mean of the gradients at the middles of many short parts of the line from the baseline to the row.
        baseline = np.array([0.25, 0.5, -1.0])
        places = (np.arange(steps)[:, np.newaxis] + 0.5) / steps
        slopes = 1 - np.tanh((baseline + places * (row - baseline)) @ first.weights.T + first.bias) ** 2
        shares = (row - baseline) * (second.weights @ (slopes.mean(axis=0)[:, np.newaxis] * first.weights))
        found = client.explain("explain-tanh", row, baseline=baseline, tolerance=1e-9)
        np.testing.assert_allclose(found.attributions, [shares], rtol=1e-6)
        assert found.converged == ((True, True),)
        one = client.explain("explain-tanh", row, baseline=baseline, tolerance=1e-9, outputs=network.outputs[1])
        assert one.attributions.tolist() == found.attributions[:, 1].tolist()

    def test_the_chosen_class_and_its_logit(self, client: Client) -> None:
        network = random_network([3, 4], ["softmax"], seed=2, classes=["a", "b", "c", "d"])
        client.register("explain-classes", network)
        rows = np.random.default_rng(3).standard_normal((9, 3))
        found = client.explain("explain-classes", rows, method="gradient", scale="logits")
        assert len({*found.labels}) > 1
        chosen = [found.output_names.index(name) for (name,) in found.explained_outputs]
        assert [network.classes[place] for place in chosen] == [*found.labels]
        np.testing.assert_allclose(found.attributions, network.layers[0].weights[chosen], rtol=1e-12)
        logits = rows @ network.layers[0].weights.T + network.layers[0].bias
        np.testing.assert_allclose(found.explained_values, logits[np.arange(9), chosen], rtol=1e-12)
        probabilities = client.explain("explain-classes", rows)
        assert probabilities.explained_values.tolist() == found.outputs.max(axis=1).tolist()

    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    def test_shares_are_complete(self, client: Client, dtype: str) -> None:
        for seed in range(3):
            network = random_graph(seed, dtype, widest=20)
            client.register(f"explain-graph-{dtype}-{seed}", network)
            rows = np.random.default_rng(seed).standard_normal((3, network.inputs.width))
            found = client.explain(f"explain-graph-{dtype}-{seed}", rows, outputs=network.outputs[0])
            assert found.baseline_outputs is not None
            assert found.completeness_error is not None
            difference = found.explained_values.astype(float) - found.baseline_outputs
            missing = difference - found.attributions.astype(float).sum(axis=1)
            scale = np.abs(found.explained_values).max() + np.abs(found.attributions).max()
            np.testing.assert_allclose(missing, found.completeness_error, atol=scale * 10 * np.finfo(dtype).eps)
            tolerated = 1e-3 * np.abs(difference)
            rounding = scale * 20 * np.finfo(dtype).eps
            converged = np.array(found.converged)[:, 0]
            assert (np.abs(missing) <= tolerated + rounding)[converged].all()


def test_typed_features(client: Client) -> None:
    client.register("explain-insurance", ROOT / "examples" / "features" / "insurance.json")
    rows: list[Any] = [PERSON, {"age": 40, "bmi": None, "region": "the moon", "smoker": None}]
    found = client.explain("explain-insurance", rows, baseline={"age": 40, "smoker": False, "region": "the moon"})
    assert found.categories == {"region": ("south", "")}
    assert found.input_values[1, 1] == 27
    assert found.input_names == ("age", "bmi", "region", "smoker")
    np.testing.assert_allclose(found.attributions, [[2000, 1000, -250, 2000], [0, 0, 0, 0]], rtol=1e-9, atol=1e-9)
    assert found.baseline_outputs is not None
    assert found.baseline_outputs.tolist() == [2500, 2500]
    warned = client.explain("explain-insurance", PERSON | {"bmi": 70})
    assert (warned.warning_count, warned.warnings[0].feature) == (1, "bmi")
    forms: list[Any] = [PERSON, {name: [value] for name, value in PERSON.items()}, [[55, 32, 1, 1]]]
    same = [client.explain("explain-insurance", form, baseline=form, method="shapley_values") for form in forms]
    assert same[0] == same[1] == same[2]
    assert not same[0].attributions.any()


def of_row(explanation: Explanation, row: int) -> tuple[bytes, ...]:
    arrays: list[Any] = [explanation.attributions, explanation.explained_values, explanation.outputs]
    arrays += [explanation.baseline_outputs, explanation.completeness_error, explanation.standard_error]
    arrays += [layer.attributions for layer in explanation.layers]
    return tuple(array[row].tobytes() for array in arrays if array is not None)


@pytest.mark.parametrize(
    "options",
    [
        {"method": "gradient"},
        {"method": "integrated_gradients", "layers": ["layer_0"], "baseline": "means"},
        {"method": "feature_ablation"},
        {"method": "shapley_values", "samples": 4, "seed": 5},
    ],
    ids=lambda options: options["method"],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_same_bits_in_every_batch(client: Client, dtype: str, options: dict[str, Any]) -> None:
    network = random_network([13, 9, 3], ["gelu", "softmax"], seed=4, dtype=dtype, classes=["a", "b", "c"])
    client.register(f"explain-bits-{dtype}", network)
    rows = np.random.default_rng(6).standard_normal((12, 13)).astype(dtype)
    whole = client.explain(f"explain-bits-{dtype}", rows, **options)
    predicted = client.predict(f"explain-bits-{dtype}", rows)
    assert whole.outputs.tobytes() == predicted.outputs.tobytes()
    assert whole.labels == predicted.labels
    assert whole.digest == predicted.digest
    expected = {row: of_row(whole, row) for row in range(len(rows))}

    def alone(row: int) -> bool:
        client.predict(f"explain-bits-{dtype}", rows[row])
        return of_row(client.explain(f"explain-bits-{dtype}", rows[row], **options), 0) == expected[row]

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(alone, range(len(rows))))
    some = client.explain(f"explain-bits-{dtype}", rows[3:8], **options)
    assert [of_row(some, row) for row in range(5)] == [expected[row] for row in range(3, 8)]


def request(network: str = NAME, row: tuple[float, ...] = (2, 3), **fields: Any) -> ExplainRequest:
    return ExplainRequest(network=network, tensor=Tensor(values=row), **fields)


def baseline(*values: float) -> v1.Baseline:
    return v1.Baseline(tensor=Tensor(values=values))


@pytest.mark.parametrize(
    ("sent", "reason", "path"),
    [
        (request(method=99), "INVALID_FIELD", "method"),
        (request(scale=99), "INVALID_FIELD", "scale"),
        (request(scale=v1.ATTRIBUTION_SCALE_LOGITS), "INVALID_FIELD", "scale"),
        (request(outputs=["transactions", "transactionz"]), "INVALID_FIELD", "outputs[1]"),
        (request(outputs=["transactions", "transactions"]), "INVALID_FIELD", "outputs[1]"),
        (request(layers=["hidde"]), "LAYER_NOT_FOUND", "layers[0]"),
        (request(layers=["hidden"], method=v1.ATTRIBUTION_METHOD_GRADIENT), "INVALID_FIELD", "layers"),
        (request(baseline=baseline(1, float("nan"))), "MISSING_VALUE", "baseline.tensor[0][1]"),
        (request(baseline=baseline(1, float("inf"))), "NON_FINITE_INPUT", "baseline.tensor[0][1]"),
        (request(baseline=baseline(1, 2, 3)), "SHAPE_MISMATCH", "baseline.tensor.shape"),
        (
            request(baseline=v1.Baseline(tensor=Tensor(shape=[0, 2], values=[]))),
            "SHAPE_MISMATCH",
            "baseline.tensor.shape",
        ),
        (request(baseline=v1.Baseline(standard=cast("Any", 9))), "INVALID_FIELD", "baseline.standard"),
        (
            request(baseline=v1.Baseline(rows={"rows": [{"children": 1}]})),
            "FEATURE_MISMATCH",
            "baseline.rows[0].accounts",
        ),
        (
            request(baseline=v1.Baseline(columns={"columns": [{"name": "x", "numbers": {"values": [1]}}]})),
            "FEATURE_MISMATCH",
            "baseline.columns.x",
        ),
        (request(baseline=baseline(1, 1), method=v1.ATTRIBUTION_METHOD_GRADIENT), "INVALID_FIELD", "baseline"),
        (request(tolerance=0), "INVALID_FIELD", "tolerance"),
        (request(tolerance=-1e-3), "INVALID_FIELD", "tolerance"),
        (request(tolerance=float("nan")), "INVALID_FIELD", "tolerance"),
        (request(tolerance=float("inf")), "INVALID_FIELD", "tolerance"),
        (request(tolerance=1, method=v1.ATTRIBUTION_METHOD_SHAPLEY_VALUES), "INVALID_FIELD", "tolerance"),
        (request(max_steps=0), "INVALID_FIELD", "max_steps"),
        (request(max_steps=2**62), "INVALID_FIELD", "max_steps"),
        (request(samples=100), "INVALID_FIELD", "samples"),
        (request(samples=10**9, method=v1.ATTRIBUTION_METHOD_SHAPLEY_VALUES), "INVALID_FIELD", "samples"),
        (request(samples=1, method=v1.ATTRIBUTION_METHOD_SHAPLEY_VALUES), "INVALID_FIELD", "samples"),
        (request(seed=-1, method=v1.ATTRIBUTION_METHOD_SHAPLEY_VALUES), "INVALID_FIELD", "seed"),
        (request(row=(1, 2, 3)), "SHAPE_MISMATCH", "tensor.shape"),
        (ExplainRequest(network=NAME), "INVALID_FIELD", "inputs"),
        (request(network=""), "INVALID_FIELD", "network"),
        (request(network="nowhere"), "NETWORK_NOT_FOUND", ""),
        (request(min_revision=2**60), "REVISION_AHEAD", ""),
        (b"\xff", "MALFORMED_REQUEST", ""),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_hostile_request_gets_a_typed_error(channel: grpc.Channel, sent: Any, reason: str, path: str) -> None:
    error = refused(channel, EXPLAIN, sent)
    assert error.reason == reason
    if path:
        paths = error.paths if "BadRequest" in error.details else [error.facts["path"]]
        assert paths[0] == path


def test_work_is_judged_before_it_begins(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("--max-gflop-per-call=0.01", "--max-response-bytes=20000")
    with Client(server.address, timeout=60) as client, grpc.insecure_channel(server.address) as channel:
        client.register("many", random_network([40, 30, 2], ["tanh", "identity"], seed=7))
        rows = np.zeros((8, 40))
        sampled: dict[str, Any] = {"method": "shapley_values"}
        cases: list[tuple[dict[str, Any], dict[str, Any]]] = [
            (sampled | {"samples": 10**6}, sampled | {"samples": 2}),
            ({"max_steps": 10**6}, {"max_steps": 8, "outputs": "layer_1_0"}),
        ]
        for heavy, lighter in cases:
            with pytest.raises(errors.QuotaExceededError, match="lower `max_steps`, `samples`") as judged:
                client.explain("many", rows, **heavy)
            assert judged.value.facts["setting"] == "max_gflop_per_call"
            assert client.explain("many", rows[:1], **lighter).attributions.shape[0] == 1
        large = ExplainRequest(
            network="many", tensor=to_tensor(np.zeros((40, 40))), method=v1.ATTRIBUTION_METHOD_GRADIENT
        )
        assert refused(channel, EXPLAIN, large).facts["setting"] == "max_response_bytes"
        assert client.explain("many", np.zeros((40, 40)), method="gradient").attributions.shape[0] == 40  # in pieces


def rests(server: ServerProcess) -> bool:
    before = server.cpu_seconds()
    time.sleep(0.5)
    return server.cpu_seconds() - before < 0.1


def test_a_deadline_ends_the_work(start_server: Callable[..., ServerProcess]) -> None:
    server = start_server("--max-gflop-per-call=1e9", "--drain-timeout=60")
    with Client(server.address, timeout=60) as client:
        client.register("wide", random_network([200, 400, 1], ["tanh", "identity"], seed=8))
        row = np.ones(200)
        # Some 4e12 operations, which take a core minutes.
        with pytest.raises(errors.DeadlineExceededError):
            client.explain("wide", row, method="shapley_values", samples=50_000, timeout=1.0)
        wait_until(lambda: rests(server))
        assert server.cpu_seconds() < 30
    assert server.stop() == 0
    assert "calls in flight" not in server.log.read_text()


def test_tokens(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    scopes = {"one": "trace", "other": "predict,read,write"}
    tokens = tmp_path / "tokens"
    tokens.write_text("".join(f"{hashlib.sha256(name.encode()).hexdigest()} {each}\n" for name, each in scopes.items()))
    address = start_server(f"--tokens-file={tokens}").address

    def explain(token: str | None, name: str) -> Explanation:
        with Client(address, token=token, timeout=60) as client:
            return client.explain(name, [2, 3])

    assert explain("one", NAME).outputs.item() == 9
    with pytest.raises(errors.PermissionDeniedError):
        explain("other", "nowhere")  # which a caller without the scope does not learn
    with pytest.raises(errors.UnauthenticatedError):
        explain(None, NAME)
