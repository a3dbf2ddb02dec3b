"""Arrays that came out of the core, as the messages that callers get."""

from typing import TYPE_CHECKING

from forwardpass.numerics import NUMERICS
from forwardpass.tensors import Array, to_tensor
from forwardpass.v1.network_pb2 import Activation
from forwardpass.v1.prediction_service_pb2 import Classification, PredictResponse, TraceResponse
from forwardpass.v1.trace_pb2 import LayerTrace

if TYPE_CHECKING:
    from forwardpass_server.core import Trace
    from forwardpass_server.registry import Served


def predict_reply(served: "Served", outputs: Array) -> bytes:
    """Serialize a `PredictResponse` for outputs of shape `(rows, outputs)`."""
    return PredictResponse(
        outputs=to_tensor(outputs),
        network=served.name,
        version=served.version,
        digest=served.digest,
        output_names=served.output_names,
        classifications=classify(served.classes, outputs),
        numerics=NUMERICS[served.numerics],
    ).SerializeToString()


def trace_reply(served: "Served", trace: "Trace", rows: slice) -> bytes:
    """Serialize a `TraceResponse` for some rows of a trace."""
    outputs = trace.outputs[rows]
    plan = served.plan.layers
    # In a chain, a layer reads the nodes of the layer before it.
    reads = (served.input_names, *served.nodes)
    known = {layer.name: place for place, layer in enumerate(plan)}
    places = [known[layer.name] for layer in trace.layers]
    return TraceResponse(
        outputs=to_tensor(outputs),
        network=served.name,
        version=served.version,
        digest=served.digest,
        output_names=served.output_names,
        classifications=classify(served.classes, outputs),
        numerics=NUMERICS[served.numerics],
        inputs=to_tensor(trace.inputs[rows]),
        input_names=served.input_names,
        layers=[
            LayerTrace(
                name=layer.name,
                nodes=served.nodes[place],
                function=Activation(name=plan[place].activation, parameters=plan[place].parameters),
                pre_activation=to_tensor(layer.pre_activation[rows]),
                activation=to_tensor(layer.activation[rows]),
                contributions=None if layer.contributions is None else to_tensor(layer.contributions[rows]),
                bias=None if layer.bias is None else to_tensor(layer.bias),
                inputs=reads[place],
            )
            for place, layer in zip(places, trace.layers, strict=True)
        ],
    ).SerializeToString()


def classify(classes: tuple[str, ...], outputs: Array) -> list[Classification]:
    """Name the most probable class of each row of `outputs`, shape `(rows, outputs)`.

    With two classes and a single output, that output is the probability of the second
    class, and one half goes to the second. A tie between outputs goes to the first.
    """
    if not classes:
        return []
    if outputs.shape[1] == 1:
        return [
            Classification(label=classes[p >= 0.5], probability=p if p >= 0.5 else 1.0 - p)
            for p in outputs[:, 0].tolist()
        ]
    best = outputs.argmax(axis=1)
    return [
        Classification(label=classes[column], probability=float(row[column]))
        for row, column in zip(outputs, best.tolist(), strict=True)
    ]
