"""`tritonclient.http.aio`: the same calls from asyncio. It asks for gzip with each, but decompresses results only."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import tritonclient.http as protocol
from tritonclient.http.aio import InferenceServerClient

from tests.clients.place import Place
from tests.clients.triton.tensors import CUSTOMER, NETWORK_FILE, TRANSACTIONS, check, config, tensor

ARTICLE = "article-2-hidden"
MANY = 25
"""Networks whose index is longer than a kilobyte."""


def run(place: Place, use: Callable[[InferenceServerClient], Awaitable[None]]) -> None:
    """Use a client in a loop of its own."""

    async def using() -> None:
        async with InferenceServerClient(place.rest, conn_timeout=120) as client:
            await use(client)

    asyncio.run(using())


def test_what_is_told_of_many_models(place: Place) -> None:
    async def use(client: InferenceServerClient) -> None:
        for number in range(MANY):
            name = f"one-of-many-{number}"
            await client.load_model(name, config=config(name), files={"file:1/network.json": NETWORK_FILE})
        index = await client.get_model_repository_index()
        assert len(str(index)) > 1024
        assert {f"one-of-many-{number}" for number in range(MANY)} <= {model["name"] for model in index}
        assert len((await client.get_inference_statistics())["model_stats"]) >= MANY
        assert await client.is_server_ready()
        assert (await client.get_server_metadata())["name"] == "forwardpass"
        assert (await client.get_model_metadata(ARTICLE))["inputs"][0]["name"] == "inputs"
        assert (await client.get_model_config(ARTICLE))["max_batch_size"] > 0
        for number in range(MANY):
            await client.unload_model(f"one-of-many-{number}")

    run(place, use)


def test_predictions_short_and_long(place: Place) -> None:
    async def use(client: InferenceServerClient) -> None:
        result = await client.infer(ARTICLE, [tensor(protocol, CUSTOMER)])
        np.testing.assert_array_equal(result.as_numpy("outputs"), TRANSACTIONS)
        for name, responses in place.networks.items():
            for binary in (True, False):
                rows = tensor(protocol, responses.array(responses.inputs), binary_data=binary)
                check(await client.infer(name, [rows]), responses)

    run(place, use)
