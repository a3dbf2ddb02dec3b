"""What a client knows of the registry's revision goes with its calls."""

from typing import Any

import pytest
from forwardpass import Client, StreamRequest, spec
from forwardpass._requests.revisions import Revisions
from forwardpass.errors import RevisionAheadError
from forwardpass.v1 import network_service_pb2 as networks
from forwardpass.v1 import prediction_service_pb2 as predictions

from tests.support.server_process import ServerProcess

ONE = {"format": spec.FORMAT, "inputs": 1, "layers": [{"weights": [[1]]}]}
READS = ["GetNetwork", "ListAliasMoves", "ListNetworks", "ListShadows", "ListVersions", "WatchNetworks"]


def many(count: int) -> predictions.PredictManyRequest:
    return predictions.PredictManyRequest(requests=[predictions.PredictRequest()] * count)


def test_a_new_client_names_no_revision() -> None:
    revisions = Revisions()
    for method in READS:
        assert not revisions.stamp(method, getattr(networks, f"{method}Request")()).ByteSize()
    assert not revisions.stamp("Predict", predictions.PredictRequest()).ByteSize()


def test_reads_name_the_seen_revision_and_predictions_the_written_one() -> None:
    revisions = Revisions()
    revisions.note("SetAlias", networks.SetAliasResponse(revision=5))
    revisions.note("GetNetwork", networks.GetNetworkResponse(revision=9))
    revisions.note("ListNetworks", networks.ListNetworksResponse(revision=7))
    for method in READS:
        assert revisions.stamp(method, getattr(networks, f"{method}Request")()).min_revision == 9
    assert revisions.stamp("Predict", predictions.PredictRequest()).min_revision == 5
    assert revisions.stamp("Trace", predictions.TraceRequest()).min_revision == 5
    assert revisions.stamp("GetProfile", networks.GetProfileRequest()).min_revision == 5
    assert revisions.stamp("Explain", predictions.ExplainRequest()).min_revision == 5
    assert [one.min_revision for one in revisions.stamp("PredictMany", many(3)).requests] == [5, 5, 5]
    stream = revisions.stamp("PredictStream", iter([predictions.PredictStreamRequest(id="a")]))
    assert [message.request.min_revision for message in stream] == [5]
    delete: Any = networks.DeleteNetworkRequest(network="net")
    assert revisions.stamp("DeleteNetwork", delete) == networks.DeleteNetworkRequest(network="net")
    revisions.forget()
    assert revisions.stamp("Predict", predictions.PredictRequest()).min_revision == 0


def test_a_client_remembers(server: ServerProcess) -> None:
    with Client(server.address) as client:
        assert client.revision == 0
        registered = client.register("remembered", ONE)
        assert client.revision == registered.revision
        assert client.predict("remembered", [1]).outputs.item() == 1
        assert client.predict_many([StreamRequest(id="", network="remembered", rows=[2])])
        with Client(server.address) as other:
            other.set_alias("remembered", "stable", 1)
            assert other.revision > client.revision
        client.network("remembered")
        assert client.revision >= other.revision


def test_a_registry_that_was_restored_is_met_once(server: ServerProcess) -> None:
    with Client(server.address) as client:
        client.register("restored", ONE)
        client._revisions.note("SetAlias", networks.SetAliasResponse(revision=10**9))
        with pytest.raises(RevisionAheadError, match="restored from a backup") as ahead:
            client.predict("restored", [1])
        assert ahead.value.facts["minRevision"] == str(10**9)
        assert client.predict("restored", [1]).outputs.item() == 1
