"""The models that onnx ships are imported and equal, or rejected, as docs/importing/measured.md counts them."""

import pytest

from tests.frameworks.onnx.shipped_models import documented, table

# onnxruntime's own, of models of old operator sets.
pytestmark = [pytest.mark.filterwarnings("ignore::UserWarning")]


def test_the_models_are_as_they_are_counted() -> None:
    assert table() == documented()
