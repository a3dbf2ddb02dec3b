"""What may be registered: a network's spec, read strictly from every form it comes in, also offline."""

from forwardpass.spec.document import from_json, to_document, to_json
from forwardpass.spec.files import load, loads
from forwardpass.spec.limits import DEFAULT_LIMITS, Limits
from forwardpass.spec.messages import from_message, to_message
from forwardpass.spec.models import FORMAT, json_schema
from forwardpass.spec.names import check_name
from forwardpass.spec.network import Activation, Example, Feature, Inputs, Layer, NetworkSpec, Output
from forwardpass.spec.nodes import from_nodes
from forwardpass.spec.parsing import parse
from forwardpass.spec.safetensors import digest, from_safetensors, to_safetensors

__all__ = [
    "DEFAULT_LIMITS",
    "FORMAT",
    "Activation",
    "Example",
    "Feature",
    "Inputs",
    "Layer",
    "Limits",
    "NetworkSpec",
    "Output",
    "check_name",
    "digest",
    "from_json",
    "from_message",
    "from_nodes",
    "from_safetensors",
    "json_schema",
    "load",
    "loads",
    "parse",
    "to_document",
    "to_json",
    "to_message",
    "to_safetensors",
]
