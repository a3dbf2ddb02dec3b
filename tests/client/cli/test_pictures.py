"""Pictures on the command line: `trace --out` and `draw`."""

from pathlib import Path

import pytest

from tests.client.cli.conftest import Run

ARTICLE = "article-2-hidden"
DIABETES = Path(__file__).parents[3] / "examples" / "diabetes" / "network.json"


def test_a_trace_in_a_file(run: Run, tmp_path: Path) -> None:
    for suffix, begins in ((".svg", b"<svg"), (".png", b"\x89PNG"), (".txt", b"article-2-hidden version 1")):
        out = tmp_path / f"trace{suffix}"
        assert run("trace", ARTICLE, "[3, 5]", "--out", str(out)).stdout == f"{out}\n"
        assert out.read_bytes().startswith(begins)
    drawn = (tmp_path / "trace.svg").read_text()
    assert "2×3 + 4×5" in drawn, "the weights of the spec"  # noqa: RUF001
    run("trace", ARTICLE, "[3, 5]", "--out", str(tmp_path / "dark.svg"), "--theme", "dark")
    assert "prefers-color-scheme" not in (tmp_path / "dark.svg").read_text()


def test_two_rows(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "rows.svg"
    run("trace", ARTICLE, "[[3, 5], [1, -1]]", "--beside", "1", "--out", str(out))
    assert "Δ" in out.read_text()
    assert "needs --out" in run("trace", ARTICLE, "[3, 5]", "--beside", "0", code=2).stderr
    assert "--beside" in run("trace", ARTICLE, "[3, 5]", "--beside", "1", "--out", str(out), code=2).stderr


def test_a_network(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "network.svg"
    run("draw", ARTICLE, "--out", str(out))
    assert "article-2-hidden version 1" in out.read_text()
    assert run("draw", ARTICLE).stdout.startswith("article-2-hidden version 1\n\ninputs (2)\nhidden_0: relu (2)")
    run("draw", str(DIABETES), "--out", str(out))
    assert "network.json" in out.read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("draw", ARTICLE, "--out", "picture.gif"), 2, "must end in .svg, .png or .txt"),
        (("trace", ARTICLE, "[3, 5]", "--out", "picture"), 2, "must end in .svg, .png or .txt"),
        (("draw", str(DIABETES), "--version", "1"), 2, "is for a network of the server"),
        (("draw", "no-such"), 3, "no-such"),
        (("draw", "no-such.json"), 1, "cannot be read"),
        (("draw", ARTICLE, "--out", "/nowhere/picture.svg"), 1, "cannot be written"),
    ],
)
def test_what_is_wrong(run: Run, arguments: tuple[str, ...], code: int, said: str) -> None:
    assert said in run(*arguments, code=code).stderr


def test_png_needs_a_font(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fonts = tmp_path / "fonts.conf"
    fonts.write_text(f'<?xml version="1.0"?><fontconfig><dir>{tmp_path}</dir></fontconfig>')
    monkeypatch.setenv("FONTCONFIG_FILE", str(fonts))
    monkeypatch.setenv("HOME", str(tmp_path))
    out = str(tmp_path / "picture.png")
    for arguments in (("draw", ARTICLE), ("trace", ARTICLE, "[3, 5]")):
        said = run(*arguments, "--out", out, code=2).stderr
        assert said.startswith("forwardpass: a PNG needs a font, and this machine has none; install one")


def test_png_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("forwardpass.extras.find_spec", lambda _: None)
    from forwardpass.cli.pictures import check_out
    from forwardpass.extras import MissingExtraError

    with pytest.raises(MissingExtraError, match=r"forwardpass\[png\]"):
        check_out("picture.PNG")
