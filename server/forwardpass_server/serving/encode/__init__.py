"""The stage `encode`: from what was computed to serialized responses."""

from forwardpass_server.serving.encode.batch import encode_batch

__all__ = ["encode_batch"]
