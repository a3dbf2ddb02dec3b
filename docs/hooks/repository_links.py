"""MkDocs hook: a link to a file outside docs/ becomes that file's path.

The pages are also read in the repository, where such a link works; the site has nothing to link to.
"""

import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

log = logging.getLogger("mkdocs.hooks.repository_links")

_LINK: Final = re.compile(r"(?<!!)\[([^\]]+)\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, *, page: "Page", config: "MkDocsConfig", files: "Files") -> str:
    """Replace links that leave docs/ by the path of the file, in code style."""
    del files
    folder = Path(config.docs_dir).resolve()
    root = folder.parent
    here = Path(page.file.abs_src_path).parent if page.file.abs_src_path else folder

    def replaced(link: re.Match[str]) -> str:
        target = (here / link[2]).resolve()
        if target.is_relative_to(folder):
            return link[0]
        if not target.exists():
            log.warning("%s links to %s, which does not exist", page.file.src_uri, link[2])
        path = f"`{target.relative_to(root)}`"
        return path if link[1].strip("`") == path.strip("`") else f"{link[1]} ({path})"

    return _LINK.sub(replaced, markdown)
