"""Reads PyTorch modules: by `torch.fx`, or `torch.export`, each tensor followed number by number for one row.

A file of weights is read into a module that code makes; a module in a file is a pickle, and never read.
"""

from forwardpass.importers.pytorch.frontend import read
from forwardpass.importers.pytorch.weights import load_weights

__all__ = ["load_weights", "read"]
