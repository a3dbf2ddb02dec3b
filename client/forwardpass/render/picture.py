"""A picture that is not drawn yet, and its forms."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from forwardpass.render.ink.png import to_png
from forwardpass.render.ink.svg import to_svg
from forwardpass.render.palette import Theme
from forwardpass.render.scene.shapes import Scene

SUFFIXES: Final = (".svg", ".png", ".txt")


class Picture:
    """A picture; each method draws it in one form, and a notebook shows it.

    SVG and text are the same on every machine. A PNG has letters of the fonts that the machine has.
    """

    __slots__ = ("_build", "_scene", "_write")

    def __init__(self, build: Callable[[], Scene], write: Callable[[int, bool], str]) -> None:
        self._build = build
        self._write = write
        self._scene: Scene | None = None

    @property
    def scene(self) -> Scene:
        """The shapes with their places."""
        if self._scene is None:
            # Values may be infinite or NaN; what is computed from them is drawn as that.
            with np.errstate(all="ignore"):
                self._scene = self._build()
        return self._scene

    def svg(self, *, theme: Theme = "auto") -> str:
        """Return the picture as an SVG document.

        Args:
            theme: `light`, `dark`, or `auto`: the reader's setting chooses.
        """
        return to_svg(self.scene, check_theme(theme))

    def png(self, *, theme: Theme = "light", scale: float = 2.0) -> bytes:
        """Return the picture as PNG, which needs the extra `png`.

        Args:
            theme: `light` or `dark`; `auto` is `light`, as a PNG cannot follow a setting.
            scale: Pixels for each unit of the SVG; fewer where the picture would have more than 12 million pixels, or
                2 MB.

        Raises:
            MissingExtraError: The extra `png` is not installed.
            MissingFontError: The machine has no font.
            ValueError: `scale` is no number greater than 0, or there is no such theme.
        """
        chosen: Theme = "light" if check_theme(theme) == "auto" else theme
        return to_png(to_svg(self.scene, chosen), self.scene.width, self.scene.height, scale)

    def text(self, *, width: int = 100, ascii_only: bool = False) -> str:
        """Return the picture drawn with characters.

        Args:
            width: The largest number of characters in a line, at least 40.
            ascii_only: Whether to use only ASCII.

        Raises:
            ValueError: `width` is less than 40.
        """
        if width < 40:
            raise ValueError(f"width is {width}; at least 40 characters are needed")
        return self._write(width, ascii_only)

    def save(self, path: str | Path, *, theme: Theme = "auto") -> None:
        """Write the picture to a file, in the form that its suffix names: `.svg`, `.png` or `.txt`.

        Args:
            path: The file; an older one is replaced.
            theme: The theme of an SVG or PNG.

        Raises:
            ValueError: The suffix is another one.
            OSError: The file cannot be written.
            MissingExtraError: The extra `png` is not installed.
            MissingFontError: The machine has no font, which a PNG needs.
        """
        Path(path).write_bytes(self.encode(Path(path).suffix, theme=theme))

    def encode(self, suffix: str, *, theme: Theme = "auto") -> bytes:
        """Return the bytes of a file with a suffix.

        Raises:
            ValueError: The suffix is none of `.svg`, `.png` and `.txt`.
            MissingExtraError: The extra `png` is not installed.
            MissingFontError: The machine has no font, which a PNG needs.
        """
        forms: dict[str, Callable[[], bytes]] = {
            ".svg": lambda: self.svg(theme=theme).encode(),
            ".png": lambda: self.png(theme=theme),
            ".txt": (self.text() + "\n").encode,
        }
        if suffix.lower() not in forms:
            raise ValueError(f"the file's suffix is {suffix!r}; must be {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
        return forms[suffix.lower()]()

    def _repr_svg_(self) -> str:
        return self.svg()

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"Picture({self.scene.title!r}, {self.scene.width:.0f} x {self.scene.height:.0f})"


def check_theme(theme: Theme) -> Theme:
    """Return a theme.

    Raises:
        ValueError: There is no such theme.
    """
    if theme not in {"auto", "light", "dark"}:
        raise ValueError(f"theme is {theme!r}; must be auto, light or dark")
    return theme
