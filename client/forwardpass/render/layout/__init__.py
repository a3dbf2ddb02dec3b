"""Layered layout of a directed acyclic graph, in four steps: layers, order, positions, routes.

The method of Sugiyama, Tagawa and Toda, "Methods for visual understanding of hierarchical system structures" (IEEE
Transactions on Systems, Man, and Cybernetics, 1981), with the orders of Gansner, Koutsofios, North and Vo, "A
technique for drawing directed graphs" (IEEE Transactions on Software Engineering, 1993). docs/decisions/0027 says why
it is here and not a library's.

This package knows rectangles and edges between them, and nothing of networks or ink. Layers follow each other along
x; a caller who draws from top to bottom swaps both axes.
"""

from forwardpass.render.layout.arrange import Arrangement, Route, Vertex, arrange

__all__ = ["Arrangement", "Route", "Vertex", "arrange"]
