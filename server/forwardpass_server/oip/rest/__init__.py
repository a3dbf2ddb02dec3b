"""The HTTP half of the Open Inference Protocol."""
