"""KServe's `InferenceGRPCClient` and `InferenceRESTClient`."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import httpx
import numpy as np
import pytest
from kserve import InferenceGRPCClient, InferenceRESTClient, InferInput, InferRequest, InferResponse, RESTConfig
from kserve.protocol.infer_type import RequestedOutput

from tests.clients.place import ExpectedResponses, Place, two_hidden

ARTICLE = "article-2-hidden"
DATATYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    **{f"UINT{bits}": np.dtype(f"u{bits // 8}") for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": np.dtype(f"i{bits // 8}") for bits in (8, 16, 32, 64)},
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
}


class OverGrpc:
    """KServe's gRPC client, called as the other one is."""

    def __init__(self, place: Place) -> None:
        self._client = InferenceGRPCClient(place.grpc, timeout=120)
        self.close = self._client.close

    async def infer(self, request: InferRequest) -> InferResponse:
        return await self._client.infer(request)

    async def is_ready(self) -> tuple[bool, bool]:
        return await self._client.is_server_live(), await self._client.is_server_ready()

    async def is_model_ready(self, name: str) -> bool:
        return bool(await self._client.is_model_ready(name))


class OverRest:
    """KServe's REST client, called as the other one is."""

    def __init__(self, place: Place) -> None:
        self._url = f"http://{place.rest}"
        self._client = InferenceRESTClient(RESTConfig(protocol="v2", timeout=120, retries=3))
        self.close = self._client.close

    async def infer(self, request: InferRequest) -> InferResponse:
        return await self._client.infer(self._url, request, model_name=request.model_name)

    async def is_ready(self) -> tuple[bool, bool]:
        return await self._client.is_server_live(self._url), await self._client.is_server_ready(self._url)

    async def is_model_ready(self, name: str) -> bool:
        return bool(await self._client.is_model_ready(self._url, name))


Client: TypeAlias = OverGrpc | OverRest


@pytest.fixture(params=[OverGrpc, OverRest])
def use(request: pytest.FixtureRequest, place: Place) -> Callable[[Callable[[Client], Awaitable[None]]], None]:
    """Use a client of each kind, in a loop of its own."""

    async def using(what: Callable[[Client], Awaitable[None]]) -> None:
        client = request.param(place)
        try:
            await what(client)
        finally:
            await client.close()

    return lambda what: asyncio.run(using(what))


def request(name: str, rows: Any, datatype: str = "FP64", *, binary: bool = True, **options: Any) -> InferRequest:
    given = InferInput(name="inputs", shape=list(rows.shape), datatype=datatype)
    given.set_data_from_numpy(rows, binary_data=binary)
    return InferRequest(model_name=name, infer_inputs=[given], **options)


def check(response: InferResponse, responses: ExpectedResponses) -> None:
    outputs = response.get_output_by_name("outputs").as_numpy()
    expected = responses.array(responses.outputs)
    assert (outputs.dtype, outputs.shape) == (expected.dtype, expected.shape)
    assert outputs.tobytes() == expected.tobytes()
    if responses.classes:
        labels = response.get_output_by_name("label").as_numpy().ravel().tolist()
        assert [label.decode() if isinstance(label, bytes) else label for label in labels] == responses.labels


def test_the_server_and_its_models_are_ready(use: Any) -> None:
    async def what(client: Client) -> None:
        assert await client.is_ready() == (True, True)
        assert await client.is_model_ready(ARTICLE)
        assert not await client.is_model_ready("nobody")

    use(what)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("name", ["article-2-hidden", "classifier", "wide"])
def test_the_bits_are_those_of_our_own_client(use: Any, place: Place, name: str, *, binary: bool) -> None:
    responses = place.networks[name]
    rows = responses.array(responses.inputs)

    async def what(client: Client) -> None:
        whole = await client.infer(request(name, rows, responses.datatype, binary=binary, request_id="k 1"))
        check(whole, responses)
        assert (whole.id, whole.model_name) == ("k 1", name)
        outputs = [RequestedOutput(layer, {"binary_data": binary}) for layer in responses.layers]
        traced = await client.infer(request(name, rows, responses.datatype, binary=binary, request_outputs=outputs))
        for layer, numbers in responses.layers.items():
            assert traced.get_output_by_name(layer).as_numpy().tobytes() == responses.array(numbers).tobytes(), layer

    use(what)


def test_every_datatype_is_read(use: Any) -> None:
    async def what(client: Client) -> None:
        for datatype, dtype in DATATYPES.items():
            rows = np.array([[1, 0], [1, 1]] if datatype == "BOOL" else [[3, 5], [2, 3]]).astype(dtype)
            expected = two_hidden(rows.astype(np.float64)).tolist()
            for binary in (True, False):
                if datatype == "FP16" and not binary:
                    continue  # which neither client sends
                response = await client.infer(request(ARTICLE, rows, datatype, binary=binary))
                assert response.get_output_by_name("outputs").as_numpy().tolist() == expected, (datatype, binary)

    use(what)


def test_an_input_for_each_feature(use: Any) -> None:
    async def what(client: Client) -> None:
        inputs = [InferInput("accounts", [2], "INT32", data=[5, 3]), InferInput("children", [2], "INT32", data=[3, 2])]
        response = await client.infer(InferRequest(model_name=ARTICLE, infer_inputs=inputs))
        assert response.get_output_by_name("outputs").as_numpy().tolist() == [[182], [112]]

    use(what)


def test_a_request_as_kserves_own_tests_send_it(use: Any) -> None:
    parameters = {"test-param": "abc"}
    given = InferInput(
        name="input-0", datatype="INT32", shape=[2, 2], data=[3, 5, 2, 3], parameters={"test-param": "abc"}
    )
    for more in ({}, {"request_outputs": [RequestedOutput("output-0", parameters={"binary_data_output": True})]}):

        async def what(client: Client, more: dict[str, Any] = more) -> None:
            infer_request = InferRequest(
                model_name=ARTICLE, request_id="2ja0ls9j1309", infer_inputs=[given], parameters=parameters, **more
            )
            response = await client.infer(infer_request)
            assert response.id == "2ja0ls9j1309"
            assert response.outputs[0].name == ("output-0" if more else "outputs")
            assert response.outputs[0].as_numpy().ravel().tolist() == [182.0, 112.0]

        use(what)


def test_many_at_once(use: Any, place: Place) -> None:
    responses = place.networks["wide"]
    rows, expected = responses.array(responses.inputs), responses.array(responses.outputs)

    async def what(client: Client) -> None:
        requests = [client.infer(request("wide", rows[at : at + 1])) for at in range(len(rows))]
        for at, response in enumerate(await asyncio.gather(*requests)):
            assert response.get_output_by_name("outputs").as_numpy().tobytes() == expected[at].tobytes()

    use(what)


def test_errors(use: Any) -> None:
    wrong = {
        "Request for unknown model: 'nobody' is not found": request("nobody", np.ones((1, 2))),
        "unexpected shape for input 'inputs' for model": request(ARTICLE, np.ones((1, 3))),
        "the parameter 'time_out' is not known; 'timeout' is": request(
            ARTICLE, np.ones((1, 2)), parameters={"time_out": 1}
        ),
    }

    async def what(client: Client) -> None:
        for words, faulty in wrong.items():
            with pytest.raises((grpc.RpcError, httpx.HTTPStatusError)) as caught:
                await client.infer(faulty)
            assert words in str(caught.value)

    use(what)
