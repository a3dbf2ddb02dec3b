"""The vocabularies that lookup layers were adapted to, which Keras keeps as files of their own."""

from collections.abc import Mapping


def vocabulary(assets: Mapping[str, bytes], path: str) -> list[str] | None:
    """Return a layer's words, or None where the file has none that can be read.

    Args:
        assets: The files by path.
        path: Where the layer's variables are.
    """
    text = assets.get(f"assets/{path}/vocabulary.txt")
    if text is None:
        return None
    try:
        return text.decode("utf-8").rstrip("\n").splitlines()
    except UnicodeDecodeError:
        return None
