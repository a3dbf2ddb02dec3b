"""The PyTorch front end: traces modules by `torch.fx` or `torch.export` and follows each tensor element by element.

A file of weights is loaded into a module that the caller's code makes. A module in a file is a pickle, never read.
"""

from forwardpass.importers.pytorch.frontend import read
from forwardpass.importers.pytorch.weights import load_weights

__all__ = ["load_weights", "read"]
