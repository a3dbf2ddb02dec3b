"""Agents and nets around PyTorch's modules, which `prove_wrappers.py` compares with their own predictions."""

from tests.frameworks.cases import Cases

CASES: Cases = {}
