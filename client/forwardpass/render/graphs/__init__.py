"""What a picture shows, without places: blocks of nodes and the bundles between them.

`stages` reads traces, specs and versions into stages with their values and connections; `selection` chooses the
nodes of wide stages; `compose` writes the texts of nodes and edges.
"""
