"""Pictures drawn with characters, for terminals and logs."""

from forwardpass.render.characters.attributions import attributions_text
from forwardpass.render.characters.networks import network_text
from forwardpass.render.characters.traces import trace_text

__all__ = ["attributions_text", "network_text", "trace_text"]
