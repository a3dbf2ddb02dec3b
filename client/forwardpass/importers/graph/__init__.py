"""The graph of layers that every front end builds: tensor references, the builder, and the passes that simplify it."""

from forwardpass.importers.graph.builder import INPUTS, PASS, GraphBuilder, safe_name
from forwardpass.importers.graph.operations import Activation, LayerOperations
from forwardpass.importers.graph.products import attend, matmul_letters, multiply_all
from forwardpass.importers.graph.reductions import reduce_axes
from forwardpass.importers.graph.tensor_ref import Indices, TensorRef, places_of

__all__ = [
    "INPUTS",
    "PASS",
    "Activation",
    "GraphBuilder",
    "Indices",
    "LayerOperations",
    "TensorRef",
    "attend",
    "matmul_letters",
    "multiply_all",
    "places_of",
    "reduce_axes",
    "safe_name",
]
