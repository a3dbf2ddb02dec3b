"""Passes over the layers of a network: each returns fewer layers that compute the same numbers by the same arithmetic.

`pass_through` removes layers that nothing reads and layers that only pass on; `fusion` joins two layers into one.
"""

from forwardpass.importers.graph.passes.fusion import fuse
from forwardpass.importers.graph.passes.pass_through import simplify, without_unread

__all__ = ["fuse", "simplify", "without_unread"]
