"""Reads fitted scikit-learn models: perceptrons, linear and logistic models, and what transforms columns before them.

What a model is is told by its class alone, never by what it happens to have: a class that is not in the tables here
may compute anything, so it is refused with its place.
"""

from forwardpass.importers.scikit_learn.frontend import read

__all__ = ["read"]
