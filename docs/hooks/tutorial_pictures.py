"""MkDocs hook: draws the pictures of the tutorial, by the product itself.

A comment in a page of the tutorial becomes the picture of a trace or of a network:

    <!-- picture of transactions: {"children": 2, "accounts": 3} -->
    <!-- picture of article-2-hidden -->

The page's own snippets run first, against a server that this hook starts: a picture shows what the page has registered.
In the repository, where nothing is drawn, the comment is not seen.
"""

import json
import logging
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from forwardpass import Client, render
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.server_process import ServerProcess  # noqa: E402 - found by the line above
from tests.support.snippets import run, snippets  # noqa: E402

log = logging.getLogger("mkdocs.hooks.tutorial_pictures")

FOLDER: Final = "tutorial"
MARK: Final = re.compile(r"<!-- picture of ([a-z0-9.-]+)(?:: (.*?))? -->")


class Marked(NamedTuple):
    """A place in a page where a picture stands.

    Attributes:
        network: The network's name.
        rows: The row whose trace is drawn; None draws the network.
        path: The picture's file, beside the page.
    """

    network: str
    rows: Any
    path: str


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the pictures of every page of the tutorial."""
    pages = [file for file in files.documentation_pages() if file.src_uri.startswith(f"{FOLDER}/")]
    texts = {file.src_uri: Path(str(file.abs_src_path)).read_text() for file in pages}
    drawn = {uri: text for uri, text in texts.items() if MARK.search(text)}
    for uri, text in texts.items():
        if text.count("<!-- picture") != len(MARK.findall(text)):
            log.warning("%s has a comment that begins with `picture` and is not of the form that is drawn", uri)
    if drawn:
        for path, picture in _pictures(drawn):
            files.append(File.generated(config, path, content=picture))
    return files


def on_page_markdown(markdown: str, *, page: "Page", config: "MkDocsConfig", files: "Files") -> str:
    """Replace each comment by its picture."""
    del config, files
    if not page.file.src_uri.startswith(f"{FOLDER}/"):
        return markdown
    marked = iter(_marked(page.file.src_uri, markdown))
    return MARK.sub(lambda _: _image(next(marked)), markdown)


def _marked(uri: str, text: str) -> list[Marked]:
    stem = Path(uri).stem
    return [
        Marked(network, json.loads(rows) if rows else None, f"{stem}-{place}.svg")
        for place, (network, rows) in enumerate(MARK.findall(text), start=1)
    ]


def _image(marked: Marked) -> str:
    what = "The network" if marked.rows is None else "A trace of the network"
    return f"![{what} {marked.network}](pictures/{marked.path})"


def _pictures(texts: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Run the snippets of pages, and yield the path and text of each picture."""
    with tempfile.TemporaryDirectory() as folder, ServerProcess(Path(folder)) as server:
        for uri, text in texts.items():
            for snippet in snippets(text):
                run(snippet, Path(folder), server.address)
            with Client(server.address, timeout=60) as client:
                for marked in _marked(uri, text):
                    yield f"{FOLDER}/pictures/{marked.path}", _draw(client, marked).svg()


def _draw(client: Client, marked: Marked) -> render.Picture:
    network = client.spec(marked.network)
    if marked.rows is None:
        return render.draw_network(network, title=marked.network)
    return render.draw_trace(client.trace(marked.network, marked.rows, contributions=True), network=network)
