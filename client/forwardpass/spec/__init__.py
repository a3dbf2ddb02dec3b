"""Specs of networks, read strictly from every form that they come in, also offline."""

from forwardpass.spec.fields.document import FORMAT, json_schema
from forwardpass.spec.forms import load, loads
from forwardpass.spec.forms.json_document import from_json, to_document, to_json
from forwardpass.spec.forms.messages import from_message, to_message
from forwardpass.spec.forms.nodes import from_nodes
from forwardpass.spec.forms.safetensors import digest, from_safetensors, to_safetensors
from forwardpass.spec.limits import DEFAULT_LIMITS, Limits
from forwardpass.spec.names import check_name
from forwardpass.spec.network import Activation, Example, Feature, Inputs, Layer, NetworkSpec, Output
from forwardpass.spec.parsing import parse

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
