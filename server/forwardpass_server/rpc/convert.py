"""The registry's states as messages."""

from datetime import datetime

from forwardpass.spec import to_message
from forwardpass.tensors import DATA_TYPES
from forwardpass.v1.network_pb2 import Activation, LayerSummary, Network, NetworkSpec, NetworkVersion
from google.protobuf.timestamp_pb2 import Timestamp

from forwardpass_server.registry import NetworkState, VersionState

__all__ = ["network_message", "to_message", "version_message"]
