"""Reads PyTorch modules: by `torch.fx`, or `torch.export`, each tensor followed number by number for one row.

A file of weights is read by `forwardpass.importers.pytorch.weights`; modules in files are pickles and never are.
"""

from forwardpass.importers.pytorch.reading import read

__all__ = ["read"]
