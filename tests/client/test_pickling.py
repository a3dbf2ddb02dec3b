"""Values, specs and errors survive pickle, copies and what process pools use, and stay what they were."""

# ruff: noqa: S301 - the tests load what they dumped

import copy
import pickle
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import cloudpickle
import grpc
import joblib
import numpy as np
import pytest
from forwardpass import AsyncClient, Client, StreamRequest, errors, spec
from forwardpass.errors import Fault, ForwardpassError

from tests.client.test_models import VALUES
from tests.support.client_factory import ClientFactory
from tests.support.fake_server import ARTICLE, FakeServer

WAYS: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "cloudpickle": lambda value: pickle.loads(cloudpickle.dumps(value)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}
SPEC = spec.parse(
    {
        "format": spec.FORMAT,
        "inputs": ["children", "accounts"],
        "layers": [{"weights": [[1.0, 2.0]], "activation": {"name": "leaky_relu", "negative_slope": 0.1}}],
        "metadata": {"owner": "me"},
        "examples": [{"inputs": [1.0, 2.0], "outputs": [5.0]}],
    }
)
every_way = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def arrays(value: Any) -> Iterator[np.ndarray]:
    """Yield every array inside a value."""
    if isinstance(value, np.ndarray):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from arrays(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from arrays(item)


@every_way
@pytest.mark.parametrize("value", [*VALUES, SPEC, *ARTICLE.values()], ids=lambda value: type(value).__name__)
def test_a_value_equals_its_copy(value: Any, way: Callable[[Any], Any]) -> None:
    copied = way(value)
    assert copied == value
    assert type(copied) is type(value)
    assert repr(copied) == repr(value)


@every_way
def test_arrays_and_mappings_stay_read_only(way: Callable[[Any], Any], client: Any) -> None:
    trace = way(client.trace("article-2-hidden", [[2, 3], [4, 5]], contributions=True))
    assert len(list(arrays(trace))) > 8
    assert not [array for array in arrays(trace) if array.flags.writeable]
    copied = way(SPEC)
    with pytest.raises(TypeError):
        copied.metadata["owner"] = "you"


@every_way
def test_a_request_of_a_stream(way: Callable[[Any], Any]) -> None:
    request = StreamRequest(network="net", rows=[1.0, 2.0], version=3, id="a", top_k=2)
    copied = way(request)
    assert [getattr(copied, field.name) for field in fields(copied)] == ["net", [1.0, 2.0], 3, "a", 2]


@every_way
@pytest.mark.parametrize(
    "kind",
    [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, ForwardpassError)],
)
def test_an_error_keeps_all_it_says(kind: type[ForwardpassError], way: Callable[[Any], Any]) -> None:
    fault = Fault(path="rows[0]", message="is odd")
    error = kind("the sentence", faults=[fault], retry_after=1.5, request_id="r", expectedShape="[rows, 2]")
    error.add_note("a note")
    copied = way(error)
    assert type(copied) is kind
    assert vars(copied) == vars(error)
    assert str(copied) == str(error)


@every_way
def test_an_error_from_the_wire(connect: ClientFactory, fake: FakeServer, way: Callable[[Any], Any]) -> None:
    with pytest.raises(errors.NotFoundError) as caught:
        connect(fake.address).predict("nowhere", [1, 2])
    assert vars(way(caught.value)) == vars(caught.value)


class TestClients:
    """A client becomes its settings: copies connect by themselves."""

    @pytest.mark.parametrize("kind", [Client, AsyncClient])
    @every_way
    def test_keep_their_settings(self, kind: type[Any], way: Callable[[Any], Any]) -> None:
        settings = {"timeout": 3.0, "retries": False, "coalesce": True, "tls": b"PEM", "pickle_token": True}
        settings["connections"] = 2
        client = kind("example.org:1", token="sesame", **settings)  # noqa: S106 - no secret - a test's token
        copied = way(client)
        assert type(copied) is kind
        assert copied._settings == client._settings == {**copied._settings, **settings, "token": "sesame"}

    @every_way
    def test_predict_as_before(self, fake: FakeServer, way: Callable[[Any], Any]) -> None:
        with Client(fake.address, coalesce=True) as client:
            expected = client.predict("article-linear", [2, 3])
            with way(client) as copied:
                assert copied.predict("article-linear", [2, 3]) == expected

    def test_a_closed_client_has_an_open_copy(self, fake: FakeServer) -> None:
        client = Client(fake.address)
        client.close()
        with WAYS["pickle"](client) as copied:
            assert copied.predict("article-linear", [2, 3]).outputs == 9

    async def test_in_asyncio_too(self, fake: FakeServer) -> None:
        async with AsyncClient(fake.address) as client:
            await client.predict("article-linear", [2, 3])
            async with WAYS["pickle"](client) as copied:
                assert (await copied.predict("article-linear", [2, 3])).outputs == 9

    @pytest.mark.parametrize("way", ["pickle", "cloudpickle"])
    def test_leave_the_token_behind_by_default(self, fake: FakeServer, way: str) -> None:
        client = Client(fake.address, token="sesame")  # noqa: S106 - no secret - a test's token
        assert b"sesame" not in pickle.dumps(client)
        with WAYS[way](client) as copied, WAYS[way](copied) as again:
            for each in (copied, again):
                fake.fail(grpc.StatusCode.UNAUTHENTICATED)
                with pytest.raises(errors.UnauthenticatedError) as caught:
                    each.predict("article-linear", [2, 3])
                assert any("pickle_token=True" in note for note in caught.value.__notes__)
        assert "authorization" not in fake.calls[0].metadata
        with WAYS[way](Client(fake.address, token="sesame", pickle_token=True)) as copied:  # noqa: S106 - no secret
            copied.predict("article-linear", [2, 3])
        assert fake.calls[-1].metadata["authorization"] == "Bearer sesame"

    @pytest.mark.parametrize("way", [copy.copy, copy.deepcopy])
    def test_copies_in_the_same_process_keep_it(self, fake: FakeServer, way: Callable[[Any], Any]) -> None:
        with way(Client(fake.address, token="sesame")) as copied:  # noqa: S106 - no secret - a test's token
            copied.predict("article-linear", [2, 3])
        assert fake.calls[0].metadata["authorization"] == "Bearer sesame"

    def test_credentials_of_grpc_cannot_be_pickled(self) -> None:
        client = Client("example.org:1", tls=grpc.ssl_channel_credentials())
        with pytest.raises(TypeError, match="pass tls= the root certificates as PEM bytes"):
            pickle.dumps(client)
        assert copy.deepcopy(client)._settings == client._settings

    def test_joblib(self, fake: FakeServer) -> None:
        client = Client(fake.address)
        calls = joblib.Parallel(n_jobs=2)(joblib.delayed(client.predict)("article-linear", [n, 1]) for n in range(4))
        assert [prediction.outputs.item() for prediction in calls] == [3.0 * n + 1 for n in range(4)]
        assert not [each for each in calls if each.outputs.flags.writeable]
