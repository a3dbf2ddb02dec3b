"""Pictures of traces: `layout` arranges names and numbers, `drawing` draws them."""

from forwardpass.render.drawing import text

__all__ = ["text"]
