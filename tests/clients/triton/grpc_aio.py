"""`tritonclient.grpc.aio`: the same calls from asyncio, many at once, and its stream."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as protocol
from tritonclient.grpc.aio import InferenceServerClient
from tritonclient.utils import InferenceServerException

from tests.clients.place import Place
from tests.clients.triton.tensors import CUSTOMER, TRANSACTIONS, check, check_layers, requested_outputs, tensor

ARTICLE = "article-2-hidden"


def run(place: Place, use: Callable[[InferenceServerClient], Awaitable[None]]) -> None:
    """Use a client in a loop of its own."""

    async def using() -> None:
        async with InferenceServerClient(place.grpc) as client:
            await use(client)

    asyncio.run(using())


def test_metadata_and_statistics(place: Place) -> None:
    async def use(client: InferenceServerClient) -> None:
        assert await client.is_server_live()
        assert await client.is_server_ready()
        assert await client.is_model_ready(ARTICLE, "1")
        assert not await client.is_model_ready("nobody")
        assert (await client.get_server_metadata()).name == "forwardpass"
        assert (await client.get_model_metadata(ARTICLE)).inputs[0].name == "inputs"
        assert (await client.get_model_config(ARTICLE)).config.max_batch_size > 0
        assert ARTICLE in {one.name for one in (await client.get_model_repository_index()).models}
        assert (await client.get_inference_statistics(ARTICLE)).model_stats[0].name == ARTICLE

    run(place, use)


@pytest.mark.parametrize("name", ["article-2-hidden", "classifier", "wide"])
def test_the_bits_are_those_of_our_own_client(place: Place, name: str) -> None:
    responses = place.networks[name]
    rows, expected = responses.array(responses.inputs), responses.array(responses.outputs)

    async def use(client: InferenceServerClient) -> None:
        check(await client.infer(name, [tensor(protocol, rows)]), responses)
        layers = requested_outputs(protocol, *responses.layers)
        check_layers(await client.infer(name, [tensor(protocol, rows)], outputs=layers), responses)

        async def one(at: int) -> None:
            result = await client.infer(name, [tensor(protocol, rows[at : at + 1])], request_id=f"{at}")
            assert result.get_response().id == f"{at}"
            assert result.as_numpy("outputs").tobytes() == expected[at].tobytes()

        for _ in range(5):
            await asyncio.gather(*(one(index % len(rows)) for index in range(64)))

    run(place, use)


def test_errors(place: Place) -> None:
    async def use(client: InferenceServerClient) -> None:
        with pytest.raises(InferenceServerException, match="Request for unknown model: 'nobody' is not found"):
            await client.infer("nobody", [tensor(protocol, CUSTOMER)])
        with pytest.raises(InferenceServerException, match="Expected \\[-1,2\\], got \\[1,3\\]"):
            await client.infer(ARTICLE, [tensor(protocol, np.zeros((1, 3)))])
        with pytest.raises(InferenceServerException, match="DEADLINE_EXCEEDED"):
            await client.infer(ARTICLE, [tensor(protocol, np.ones((100_000, 2)))], client_timeout=0.000_001)
        assert (await client.infer(ARTICLE, [tensor(protocol, CUSTOMER)])).as_numpy("outputs") == TRANSACTIONS

    run(place, use)


def test_a_stream(place: Place) -> None:
    async def requests() -> AsyncIterator[dict[str, Any]]:
        for index in range(20):
            name = "nobody" if index == 7 else "doubled"
            rows = np.array([[index, 1.0]])
            yield {"model_name": name, "inputs": [tensor(protocol, rows)], "request_id": str(index)}

    async def use(client: InferenceServerClient) -> None:
        index = 0
        async for result, error in client.stream_infer(requests()):
            if index == 7:
                assert "Request for unknown model: 'nobody' is not found" in str(error)
            else:
                assert error is None
                assert result.get_response().id == str(index)
                assert result.as_numpy("outputs").tolist() == [[2 * index + 2]]
            index += 1
        assert index == 20

    run(place, use)
