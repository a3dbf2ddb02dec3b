"""SIGKILL at a random moment during registrations: no acknowledged write is lost, and nothing is torn."""

import random
import threading
import time
from collections.abc import Callable

import grpc
import pytest
from forwardpass import spec
from forwardpass.v1 import network_service_pb2 as networks
from forwardpass.v1.network_service_pb2_grpc import NetworkServiceStub
from forwardpass.v1.prediction_service_pb2_grpc import PredictionServiceStub

from tests.support.raw_grpc import network_spec, predict_request
from tests.support.server_process import ServerProcess, wait_until


@pytest.mark.parametrize("cycles", [2, pytest.param(100, marks=pytest.mark.prove)])
def test_kill_during_registrations(
    start_server: Callable[..., ServerProcess], cycles: int, capsys: pytest.CaptureFixture[str]
) -> None:
    server = start_server()
    rng = random.Random(5)
    acknowledged: dict[int, tuple[str, float]] = {}
    value = 0.0

    def register_until_killed(address: str) -> None:
        nonlocal value
        with grpc.insecure_channel(address) as channel:
            stub = NetworkServiceStub(channel)
            while True:
                value += 1
                request = networks.RegisterNetworkRequest(network="crash", spec=network_spec([[value] * 500]))
                try:
                    response = stub.RegisterNetwork(request, timeout=60)
                except grpc.RpcError:
                    return
                acknowledged[response.version.version] = (response.version.digest, value)

    for _ in range(cycles):
        writer = threading.Thread(target=register_until_killed, args=(server.address,))
        before = len(acknowledged)
        writer.start()
        wait_until(lambda before=before: len(acknowledged) > before)
        time.sleep(rng.uniform(0, 0.4))
        server.kill()
        writer.join()
        server.start()
    lost = torn = 0
    with grpc.insecure_channel(server.address) as channel:
        stub = NetworkServiceStub(channel)
        listed, token = {}, ""
        while True:
            page = stub.ListVersions(networks.ListVersionsRequest(network="crash", page_size=1000, page_token=token))
            listed.update({version.version: version for version in page.versions})
            token = page.next_page_token
            if not token:
                break
        torn = sum(version.corrupt for version in listed.values())
        lost = sum(
            number not in listed or listed[number].digest != digest for number, (digest, _) in acknowledged.items()
        )
        predict = PredictionServiceStub(channel).Predict
        number, (_, last) = max(acknowledged.items())
        assert predict(predict_request("crash", [1.0] * 500, str(number))).outputs.ByteSize()
        got = stub.GetNetwork(
            networks.GetNetworkRequest(network="crash", version=str(number), view=networks.NETWORK_VIEW_FULL)
        )
        assert spec.from_message(got.spec).layers[0].weights[0, 0] == last
    with capsys.disabled():
        print(f"\n{cycles} kills, {len(acknowledged)} acknowledged: {lost} lost, {torn} torn")
    assert acknowledged
    assert (lost, torn) == (0, 0)
