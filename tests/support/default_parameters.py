"""The parameters that an activation function has when a spec gives none."""

from forwardpass.spec.activations import ACTIVATIONS


def default_parameters(name: str) -> dict[str, float]:
    """Return the default of each parameter of a function of the vocabulary."""
    return {key: parameter.default for key, parameter in ACTIVATIONS[name].parameters.items()}
