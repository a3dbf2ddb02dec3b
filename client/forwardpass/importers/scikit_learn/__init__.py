"""The scikit-learn front end: perceptrons, linear and logistic models, ensembles, and transformers of columns before.

The class of a model alone decides how it is read. A class outside the tables here may compute anything, so it is
rejected with its place.
"""

from forwardpass.importers.scikit_learn.files import load_model
from forwardpass.importers.scikit_learn.frontend import read

__all__ = ["load_model", "read"]
