"""Networks that are no chains, over the wire: registered, predicted, traced and drawn."""

from pathlib import Path

import numpy as np
from forwardpass import Client, spec

from tests.support.random_graphs import compute, outputs_of, random_graph
from tests.support.server_process import ServerProcess

EXAMPLES = Path(__file__).parents[2] / "examples" / "graphs"


def test_a_residual_network(server: ServerProcess) -> None:
    network = spec.load(EXAMPLES / "residual.json")
    with Client(server.address) as client:
        version = client.register("residual", network).info
        trace = client.trace("residual", {"distance": 2, "slope": 1}, contributions=True)
        prediction = client.predict("residual", [2, 1])
    assert version.digest == spec.digest(network)
    assert [(layer.from_, layer.merge) for layer in version.layers] == [
        (("inputs",), None),
        (("stem",), None),
        (("block_0", "stem"), "sum"),
        (("block_1", "block_0", "stem"), "sum"),
    ]
    expected = compute(network, [2.0, 1.0])
    np.testing.assert_allclose(prediction.outputs, [outputs_of(network, expected)], rtol=1e-12)
    assert prediction.outputs.tobytes() == trace.outputs.tobytes()
    last = trace.layers[-1]
    assert (last.from_, last.merge) == (("block_1", "block_0", "stem"), "sum")
    assert last.inputs[0] == "sum(block_1_0, block_0_0, stem_0)"
    read = np.sum([expected[name] for name in last.from_], axis=0)
    assert last.merged is not None
    assert last.contributions is not None
    np.testing.assert_allclose(last.merged, [read], rtol=1e-12)
    np.testing.assert_allclose(last.contributions[0, 0], read * [1, 0.5, -0.25], rtol=1e-12)
    assert trace.layers[0].merged is None
    assert "output: identity (1) \u2190 block_1, block_0, stem (sum)" in str(trace)


def test_a_wide_and_deep_network_with_two_outputs(server: ServerProcess) -> None:
    network = spec.load(EXAMPLES / "wide_and_deep.json")
    with Client(server.address) as client:
        version = client.register("wide-and-deep", network).info
        rows = [[number or 0.0 for number in example.inputs] for example in network.examples]
        prediction = client.predict("wide-and-deep", rows)
        by_name = client.predict("wide-and-deep", dict(zip(network.inputs.names, rows[0], strict=True)))
        trace = client.trace("wide-and-deep", rows, layers=["spends"])
        again = client.spec("wide-and-deep")
    assert again == network
    assert version.input_groups == {"person": 2, "behaviour": 3}
    assert version.output_layers == prediction.output_names == ("buys", "spends")
    np.testing.assert_allclose(prediction.outputs, [example.outputs for example in network.examples], rtol=1e-12)
    assert by_name.outputs.tobytes() == prediction.outputs[:1].tobytes()
    assert trace.outputs.tobytes() == prediction.outputs.tobytes()
    assert trace.layers[0].inputs == ("mean(age, deep_1_0)", "mean(income, deep_1_1)")


def test_a_network_with_layers_of_many_kinds(server: ServerProcess) -> None:
    network = random_graph(7, layers=12)
    assert len({layer.kind for layer in network.layers}) > 4
    rows = np.random.default_rng(7).standard_normal((5, network.inputs.width))
    with Client(server.address) as client:
        version = client.register("kinds", network).info
        trace = client.trace("kinds", rows)
        prediction = client.predict("kinds", rows)
        assert client.spec("kinds") == network
    kinds = [layer.kind for layer in network.layers]
    assert [layer.kind for layer in version.layers] == [layer.kind for layer in trace.layers] == kinds
    assert version.digest == spec.digest(network)
    assert prediction.outputs.tobytes() == trace.outputs.tobytes()
    expected = [outputs_of(network, compute(network, row)) for row in rows.tolist()]
    np.testing.assert_allclose(prediction.outputs, expected, rtol=1e-11, atol=1e-11)
    other = next(layer for layer in network.layers if layer.kind != "dense")
    assert f"{other.name}: {other.kind}, {other.activation}" in str(trace)
