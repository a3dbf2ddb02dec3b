"""Pictures of traces: `layout` says what goes where, `drawing` draws it."""

from forwardpass.render.drawing import text

__all__ = ["text"]
