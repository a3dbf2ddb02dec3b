"""The vocabularies of adapted lookup layers, which Keras keeps as separate files."""

from collections.abc import Mapping


def vocabulary(assets: Mapping[str, bytes], path: str) -> list[str] | None:
    """Return the vocabulary of a layer, or None where it is absent or unreadable.

    Args:
        assets: The files by path.
        path: The path of the layer's variables.
    """
    text = assets.get(f"assets/{path}/vocabulary.txt")
    if text is None:
        return None
    try:
        return text.decode("utf-8").rstrip("\n").splitlines()
    except UnicodeDecodeError:
        return None
