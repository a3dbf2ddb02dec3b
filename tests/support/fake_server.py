"""A small honest server in this process, that computes by plain loops and fails on demand."""

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import grpc
from forwardpass import spec
from forwardpass.rows import to_inputs
from forwardpass.spec import NetworkSpec
from forwardpass.tensors import DATA_TYPES, from_tensor, to_tensor
from forwardpass.v1 import network_service_pb2 as networks_v1
from forwardpass.v1 import prediction_service_pb2 as predictions_v1
from forwardpass.v1.attribution_pb2 import LayerAttributions
from forwardpass.v1.network_pb2 import Activation, LayerSummary, Network, NetworkVersion
from forwardpass.v1.network_service_pb2_grpc import (
    NetworkServiceServicer,
    add_NetworkServiceServicer_to_server,
)
from forwardpass.v1.prediction_service_pb2_grpc import (
    PredictionServiceServicer,
    add_PredictionServiceServicer_to_server,
)
from forwardpass.v1.trace_pb2 import LayerTrace
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.support.ports import free_port

ARTICLE: Mapping[str, NetworkSpec] = {
    "article-linear": spec.from_nodes(
        {"node_0": [1.0, 1.0], "node_1": [-1.0, 1.0], "output": [2.0, -1.0]},
        activation="identity",
        inputs=["children", "accounts"],
    ),
    "article-1-hidden": spec.from_nodes(
        {"node_0": [1.0, 1.0], "node_1": [-1.0, 1.0], "output": [2.0, -1.0]}, inputs=["children", "accounts"]
    ),
    "article-2-hidden": spec.from_nodes(
        {
            "node_0_0": [2.0, 4.0],
            "node_0_1": [4.0, -5.0],
            "node_1_0": [-1.0, 2.0],
            "node_1_1": [1.0, 2.0],
            "output": [2.0, 7.0],
        },
        inputs=["children", "accounts"],
    ),
}
FUNCTIONS: Mapping[str, Callable[[float], float]] = {"identity": float, "relu": lambda z: max(0.0, z)}
DETAILS = "grpc-status-details-bin"
PAGE = 2

Behaviour: TypeAlias = Callable[[grpc.ServicerContext], None]


@dataclass(frozen=True, kw_only=True)
class Received:
    """What the server saw of a call."""

    method: str
    metadata: Mapping[str, str]
    seconds_left: float | None
    peer: str
    requests: list[Any] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)


def layers_of(network: NetworkSpec, row: list[float]) -> list[tuple[list[float], list[float]]]:
    """Return the pre-activations and activations of every layer, by plain loops."""
    layers, values = [], row
    for layer in network.layers:
        sums = []
        for node in range(layer.outputs):
            total = float(layer.bias[node])
            for index, value in enumerate(values):
                total += float(layer.weights[node, index]) * value
            sums.append(total)
        values = [FUNCTIONS[layer.activation.name](total) for total in sums]
        layers.append((sums, values))
    return layers


def outputs_of(network: NetworkSpec, rows: list[list[float]]) -> list[list[float]]:
    """Return the outputs for rows, by plain loops."""
    return [layers_of(network, row)[-1][1] for row in rows]


class FakeHealth(health_pb2_grpc.HealthServicer):
    """Says one state for every service.

    Not grpc's own servicer: that one holds its lock while it sends, which the thread that ends
    a call waits for, so that a server with a watcher that leaves at that moment never stops.
    """

    def __init__(self) -> None:
        self.state: int = health_pb2.HealthCheckResponse.SERVING

    def Check(self, _request: Any, _context: grpc.ServicerContext) -> Any:  # noqa: N802 - the method's name
        return health_pb2.HealthCheckResponse(status=self.state)

    def Watch(self, _request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802 - the method's name
        sent = None
        while context.is_active():
            if self.state != sent:
                sent = self.state
                yield health_pb2.HealthCheckResponse(status=sent)
            time.sleep(0.01)


class FakeServer(NetworkServiceServicer, PredictionServiceServicer):
    """Serves the article's networks and what is registered; one version of each.

    Attributes:
        address: Where it listens.
        calls: The calls received, in order.
        script: Functions that run at the start of the next calls, one for each.
        watching: Whether a watch goes on after the state at its start.
        stream_reads: The requests of a stream that are read before the first response, where there are as many.
    """

    def __init__(
        self, port: int = 0, *, credentials: grpc.ServerCredentials | None = None, serving: bool = True
    ) -> None:
        self.networks = dict(ARTICLE)
        self.profiles: dict[str, Any] = {}
        self.calls: list[Received] = []
        self.script: deque[Behaviour] = deque()
        self.watching = threading.Event()
        self.stream_reads = 1
        self._holds: list[threading.Event] = []
        self._behind: list[Status] = []
        self._server = grpc.server(futures.ThreadPoolExecutor(64), options=[("grpc.so_reuseport", 0)])
        self._health = FakeHealth()
        self.serve(serving)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        add_NetworkServiceServicer_to_server(self, self._server)
        add_PredictionServiceServicer_to_server(self, self._server)
        if credentials is None:
            bound = self._server.add_insecure_port(f"127.0.0.1:{port or free_port()}")
        else:
            bound = self._server.add_secure_port(f"localhost:{port}", credentials)
        self.address = f"127.0.0.1:{bound}" if credentials is None else f"localhost:{bound}"
        self._server.start()

    def serve(self, serving: bool) -> None:
        """Say SERVING or NOT_SERVING from now on."""
        states = health_pb2.HealthCheckResponse
        self._health.state = states.SERVING if serving else states.NOT_SERVING

    def fail(self, code: grpc.StatusCode, *, times: int = 1, status: Status | None = None) -> None:
        """Fail the next calls."""

        def abort(context: grpc.ServicerContext) -> None:
            if status is not None:
                context.set_trailing_metadata(((DETAILS, status.SerializeToString()),))
            context.abort(code, status.message if status is not None else "on demand")

        self.script.extend([abort] * times)

    def fall_behind(self, status: Status, *, times: int) -> None:
        """End the next watches after the events of their beginning, one after the other, while networks change."""
        self._behind = [status] * times

    def delay(self, seconds: float) -> None:
        """Let the next call take its time."""
        self.script.append(lambda _: time.sleep(seconds))

    def hold(self) -> threading.Event:
        """Let the next call wait until the event is set, or the server stops."""
        event = threading.Event()
        self._holds.append(event)

        def wait(_: grpc.ServicerContext) -> None:
            event.wait()

        self.script.append(wait)
        return event

    def methods(self) -> list[str]:
        """Return the names of the methods that were called."""
        return [call.method for call in self.calls]

    def stop(self) -> None:
        for event in [self.watching, *self._holds]:
            event.set()
        self._server.stop(None).wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _begin(self, method: str, context: grpc.ServicerContext, request: Any = None) -> Received:
        metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
        call = Received(method=method, metadata=metadata, seconds_left=context.time_remaining(), peer=context.peer())
        if request is not None:
            call.requests.append(request)
        if not context.add_callback(call.ended.set):  # the call ended before it began here
            call.ended.set()
        self.calls.append(call)
        if self.script:
            self.script.popleft()(context)
        return call

    def _find(self, name: str, context: grpc.ServicerContext) -> NetworkSpec:
        if name not in self.networks:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no {name}")
        return self.networks[name]

    # Predictions

    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("Predict", context, request)
        return self._predicted(request, context)

    def _predicted(self, request: Any, context: grpc.ServicerContext) -> predictions_v1.PredictResponse:
        network = self._find(request.network, context)
        return predictions_v1.PredictResponse(
            outputs=to_tensor(outputs_of(network, _rows(request, network))),
            network=request.network,
            version=1,
            digest=spec.digest(network),
            output_names=network.outputs,
        )

    def PredictStream(self, requests: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        # grpc.aio loses the status of a call that ends while it sends, so a call that fails is received first.
        first = list(itertools.islice(requests, self.stream_reads))
        call = self._begin("PredictStream", context)
        for request in itertools.chain(first, requests):
            call.requests.append(request)
            if request.request.network not in self.networks or not request.request.WhichOneof("inputs"):
                error = Status(code=grpc.StatusCode.NOT_FOUND.value[0], message="not this one")
                yield predictions_v1.PredictStreamResponse(id=request.id, error=error)
            else:
                response = self._predicted(request.request, context)
                yield predictions_v1.PredictStreamResponse(id=request.id, response=response)

    def PredictMany(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("PredictMany", context, request)
        results = []
        for one in request.requests:
            if one.network not in self.networks:
                error = Status(code=grpc.StatusCode.NOT_FOUND.value[0], message=f"no {one.network}")
                results.append(predictions_v1.PredictResult(error=error))
            else:
                results.append(predictions_v1.PredictResult(response=self._predicted(one, context)))
        return predictions_v1.PredictManyResponse(results=results)

    def Trace(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("Trace", context, request)
        network = self._find(request.network, context)
        rows = _rows(request, network)
        traced = [layers_of(network, row) for row in rows]
        layers = []
        for index, layer in enumerate(network.layers):
            if request.layers and layer.name not in request.layers:
                continue
            message = LayerTrace(
                name=layer.name,
                nodes=layer.nodes,
                function=Activation(name=layer.activation.name, parameters=layer.activation.parameters),
                pre_activation=to_tensor([row[index][0] for row in traced]),
                activation=to_tensor([row[index][1] for row in traced]),
            )
            if request.contributions:
                entering = rows if index == 0 else [row[index - 1][1] for row in traced]
                message.contributions.CopyFrom(
                    to_tensor(
                        [
                            [[w * x for w, x in zip(node, row, strict=True)] for node in layer.weights.tolist()]
                            for row in entering
                        ]
                    )
                )
                message.bias.CopyFrom(to_tensor(layer.bias))
            layers.append(message)
        return predictions_v1.TraceResponse(
            outputs=to_tensor([row[-1][1] for row in traced]),
            network=request.network,
            version=1,
            digest=spec.digest(network),
            output_names=network.outputs,
            inputs=to_tensor(rows),
            input_names=network.inputs.names,
            layers=layers,
        )

    def Explain(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        """Explain all outputs by ablation, whatever the method: what each changes where an input becomes 0."""
        self._begin("Explain", context, request)
        network = self._find(request.network, context)
        rows = _rows(request, network)
        outputs = outputs_of(network, rows)
        inputs = range(network.inputs.width)
        ablated = [outputs_of(network, [[*row[:place], 0.0, *row[place + 1 :]] for place in inputs]) for row in rows]
        shares = [
            [[whole - part[column] for part in parts] for column, whole in enumerate(row)]
            for row, parts in zip(outputs, ablated, strict=True)
        ]
        return predictions_v1.ExplainResponse(
            outputs=to_tensor(outputs),
            network=request.network,
            version=1,
            digest=spec.digest(network),
            output_names=network.outputs,
            output_classes=network.classes[-len(network.outputs) :],
            input_values=to_tensor(rows),
            input_names=network.inputs.names,
            attributions=to_tensor(shares),
            explained_outputs=[*range(len(network.outputs))] * len(rows),
            explained_values=to_tensor(outputs),
            baseline_outputs=to_tensor([outputs_of(network, [[0.0] * len(inputs)])[0]] * len(rows)),
            method=request.method,
            scale=request.scale,
            layers=[
                LayerAttributions(
                    name=layer.name,
                    nodes=layer.nodes,
                    attributions=to_tensor([[[0.0] * layer.outputs] * len(network.outputs)] * len(rows)),
                )
                for layer in network.layers
                if layer.name in request.layers
            ],
        )

    # Networks

    def RegisterNetwork(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("RegisterNetwork", context, request)
        self.networks[request.network] = spec.from_message(request.spec)
        return networks_v1.RegisterNetworkResponse(version=self._version(request.network), created=True)

    def UploadNetwork(self, requests: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        call = self._begin("UploadNetwork", context)
        call.requests.extend(requests)
        content = b"".join(request.chunk for request in call.requests[1:])
        header = call.requests[0].header
        if len(content) != header.size_bytes:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "cut short")
        self.networks[header.network] = spec.from_safetensors(content)
        return networks_v1.UploadNetworkResponse(version=self._version(header.network), created=True)

    def GetNetwork(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("GetNetwork", context, request)
        network = self._find(request.network, context)
        full = request.view == networks_v1.NETWORK_VIEW_FULL
        return networks_v1.GetNetworkResponse(
            network=self._network(request.network),
            version=self._version(request.network),
            spec=spec.to_message(network) if full else None,
        )

    def ListNetworks(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("ListNetworks", context, request)
        names = [name for name in sorted(self.networks) if name > request.page_token]
        return networks_v1.ListNetworksResponse(
            networks=map(self._network, names[:PAGE]),
            next_page_token=names[PAGE - 1] if len(names) > PAGE else "",
        )

    def ListVersions(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("ListVersions", context, request)
        start = int(request.page_token or 5)
        numbers = range(start, max(start - PAGE, 0), -1)
        return networks_v1.ListVersionsResponse(
            versions=[NetworkVersion(network=request.network, version=number) for number in numbers],
            next_page_token=str(start - PAGE) if start > PAGE else "",
        )

    def DeleteNetwork(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("DeleteNetwork", context, request)
        return networks_v1.DeleteNetworkResponse(revision=7)

    def DeleteVersion(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("DeleteVersion", context, request)
        return networks_v1.DeleteVersionResponse(network=self._network(request.network))

    def SetAlias(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("SetAlias", context, request)
        return networks_v1.SetAliasResponse(network=self._network(request.network))

    def RollbackAlias(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("RollbackAlias", context, request)
        return networks_v1.RollbackAliasResponse(network=self._network(request.network), from_version=2, to_version=1)

    def ListAliasMoves(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("ListAliasMoves", context, request)
        return networks_v1.ListAliasMovesResponse(moves=[networks_v1.AliasMove(version=1)])

    def SetShadow(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("SetShadow", context, request)
        return networks_v1.SetShadowResponse(network=self._network(request.network))

    def ClearShadow(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("ClearShadow", context, request)
        return networks_v1.ClearShadowResponse(network=self._network(request.network))

    def ListShadows(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("ListShadows", context, request)
        return networks_v1.ListShadowsResponse()

    def SetProfile(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("SetProfile", context, request)
        self.profiles[request.network] = request.profile
        return networks_v1.SetProfileResponse(version=1)

    def GetProfile(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("GetProfile", context, request)
        if request.network not in self.profiles:
            context.abort(grpc.StatusCode.NOT_FOUND, "no profile")
        return networks_v1.GetProfileResponse(
            profile=self.profiles[request.network], network=request.network, version=1
        )

    def DeleteProfile(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("DeleteProfile", context, request)
        self.profiles.pop(request.network, None)
        return networks_v1.DeleteProfileResponse(version=1)

    def DeleteAlias(self, request: Any, context: Any) -> Any:  # noqa: N802 - the method's name
        self._begin("DeleteAlias", context, request)
        return networks_v1.DeleteAliasResponse(network=self._network(request.network))

    def WatchNetworks(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802 - the method's name
        call = self._begin("WatchNetworks", context, request)
        for name in sorted(self.networks):
            if name.startswith(request.name_prefix):
                yield networks_v1.WatchNetworksResponse(
                    event=networks_v1.NETWORK_EVENT_CURRENT, network=self._network(name)
                )
        yield networks_v1.WatchNetworksResponse(event=networks_v1.NETWORK_EVENT_SYNCED)
        yield networks_v1.WatchNetworksResponse(
            event=networks_v1.NETWORK_EVENT_DELETED, network=Network(name="gone"), revision=8
        )
        if self._behind:
            status = self._behind.pop()
            context.set_trailing_metadata(((DETAILS, status.SerializeToString()),))
            context.abort(grpc.StatusCode.UNAVAILABLE, status.message)
        while not self.watching.wait(0.02) and not call.ended.is_set():
            pass

    def _network(self, name: str) -> Network:
        return Network(name=name, latest_version=1, aliases={"latest": 1}, version_count=1)

    def _version(self, name: str) -> NetworkVersion:
        network = self.networks[name]
        return NetworkVersion(
            network=name,
            version=1,
            digest=spec.digest(network),
            aliases=["latest"],
            dtype=DATA_TYPES[network.dtype],
            inputs=spec.to_message(network).inputs,
            layers=[
                LayerSummary(
                    name=layer.name,
                    width=layer.outputs,
                    activation=Activation(name=layer.activation.name, parameters=layer.activation.parameters),
                    nodes=layer.nodes,
                )
                for layer in network.layers
            ],
            output_names=network.outputs,
            parameter_count=network.parameter_count,
        )


def _rows(request: Any, network: NetworkSpec) -> list[list[float]]:
    if request.WhichOneof("inputs") == "rows":
        return [[row.fields[name].number_value for name in network.inputs.names] for row in request.rows.rows]
    if request.WhichOneof("inputs") == "columns":
        columns = {column.name: column.numbers.values for column in request.columns.columns}
        return [[*row] for row in zip(*(columns[name] for name in network.inputs.names), strict=True)]
    numbers: list[Any] = from_tensor(request.tensor).tolist()
    return numbers if isinstance(numbers[0], list) else [numbers]


def predict_request(network: str, rows: Any) -> predictions_v1.PredictRequest:
    """Make a request as the client does."""
    return predictions_v1.PredictRequest(network=network, **to_inputs(rows))
