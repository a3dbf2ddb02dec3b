"""The page in a browser, against real servers: what a person does, and what axe says."""

import csv
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from forwardpass import Client, spec

from tests.client.view.conftest import VIEW
from tests.support.browser import drive
from tests.support.server_process import ServerProcess, wait_until

HERE = Path(__file__).parent / "browser"
EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="session")
def known(view_server: ServerProcess) -> Iterator[Client]:
    """A client of a server with the networks of this file."""
    with Client(view_server.address) as client:
        client.register("insurance", EXAMPLES / "features" / "insurance.json")
        client.register("cancer", EXAMPLES / "breast_cancer" / "network.json")
        client.register("residual", EXAMPLES / "graphs" / "residual.json")
        for weight in (2, 3):
            layers = [
                {"name": "hidden", "weights": [[1, 1], [-1, 1]], "activation": "relu"},
                {"name": "output", "weights": [[weight, -1]]},
            ]
            client.register("doubled", {"format": spec.FORMAT, "inputs": ["a", "b"], "layers": layers})
        client.register("random", network([30, 64, 32, 1]))
        client.register("wide", network([784, 512, 512, 10]))
        yield client


@pytest.fixture
def page(view_server: ServerProcess, known: Client) -> Callable[..., Any]:
    """Runs a scenario of a file; the page does nothing on the way that it should not."""
    del known  # its networks are what the scenarios show

    def scenario(file: str, name: str, /, **argument: Any) -> Any:
        return shown(view_server, file, name, **argument)

    return scenario


def shown(server: ServerProcess, file: str, name: str, /, *, rejected: tuple[str, ...] = (), **argument: Any) -> Any:
    """Run a scenario against a server; return what it found.

    The browser writes a line for each response that is an error; those with a text of `rejected` in it are expected.
    """
    found = drive(HERE / f"{file}.js", server.view, name, json.dumps(argument))
    problems = found.pop("problems")
    assert [problem for problem in problems if not any(text in problem for text in rejected)] == []
    return found


def network(widths: list[int]) -> Any:
    """A network with weights by chance."""
    rng = np.random.default_rng(7)
    layers = [
        {"weights": rng.normal(size=(nodes, inputs)) / np.sqrt(inputs), "activation": "tanh"}
        for inputs, nodes in pairwise(widths)
    ]
    return {"format": spec.FORMAT, "inputs": widths[0], "layers": layers}


def test_pick_change_point_and_follow_the_link(view_server: ServerProcess) -> None:
    found = shown(view_server, "use", "pick")
    assert {"article-1-hidden", "article-2-hidden", "article-linear"} <= set(found["networks"])
    assert "2 × 1 + 3 × 1 = 5" in found["tooltip"]
    assert "relu → 5" in found["tooltip"]
    assert "4 × −1 + 4 × 1 = 0" in found["panel"]
    assert found["panelAgain"] == found["panel"]
    assert "network=article-1-hidden" in found["link"]
    assert found["tokenButtons"] == 0  # the server needs none


@pytest.mark.prove
def test_a_link_to_a_network_that_is_gone_leaves_the_others_to_choose(page: Callable[..., Any]) -> None:
    found = page("use", "nowhere", rejected=("404",))
    assert found["error"] == "there is no network 'nobody'"
    assert found["instead"] == "Choose a network above."
    assert found["alerts"] == 0
    assert found["baseline"] == "at zeros"  # this network has no means


@pytest.mark.prove
@pytest.mark.parametrize(
    ("row", "notice"),
    [
        ("[1,2,3]", "The row has 3 values for 2 inputs; the page shows another one."),
        ("oops", "The row in the link cannot be read; the page shows another one."),
    ],
)
def test_a_row_of_a_link_that_is_not_shown_is_said(page: Callable[..., Any], row: str, notice: str) -> None:
    assert page("use", "misfit", row=row)["notice"] == notice


@pytest.mark.prove
def test_nodes_of_convolutions_products_and_functions(page: Callable[..., Any], known: Client) -> None:
    conv = {"weights": [[1, 2, 3, 4]], "bias": [1], "input_shape": [1, 3, 3], "kernel_shape": [2, 2]}
    layers = [
        {"name": "maps", "kind": "conv", "activation": "relu", **conv},
        {"name": "product", "kind": "matmul", "rows": 1, "inner": 2, "columns": 1},
        {"name": "ratio", "kind": "elementwise", "expression": "x / (y + 1)", "from": ["maps"]},
        {"name": "shares", "kind": "group_softmax", "groups": 2, "from": ["maps"]},
    ]
    outputs = {"output_layers": ["product", "ratio", "shares"]}
    known.register("convolved", {"format": spec.FORMAT, "inputs": 9, "layers": layers, **outputs})
    row = [1, 0, 0, 0, 1, 0, 0, 0, 1]
    places = [["maps", "maps_0"], ["product", "product_0"], ["ratio", "ratio_0"], ["shares", "shares_1"]]
    found = page("use", "nodes", network="convolved", row=row, nodes=places)
    sums = [
        "1 × 1 + 0 × 2 + 0 × 3 + 1 × 4 + 1 = 6",
        "6 × 3 + 4 × 6 = 42",
        "x / (y + 1) with x = 6, y = 3 = 1.5",
        "exp(4) / the sum of exp of 2 values = 0.1192",
    ]
    for words, panel in zip(sums, found["panels"], strict=True):
        assert words in panel


@pytest.mark.prove
def test_why_names_the_class(known: Client, page: Callable[..., Any]) -> None:
    for outputs, heading in ((2, "Why y?"), (1, "Why this probability of y?")):
        layer = {"name": "o", "weights": [[1]] * outputs, "bias": [1, 2][:outputs], "activation": "sigmoid"}
        name = f"classes-{outputs}"
        known.register(name, {"format": spec.FORMAT, "inputs": 1, "classes": ["x", "y"], "layers": [layer]})
        assert page("use", "classes", network=name)["heading"] == heading


@pytest.mark.prove
def test_every_control_by_keyboard(page: Callable[..., Any]) -> None:
    found = page("use", "keyboard")
    assert "2 × 1 + 3 × 1 = 5" in found["tooltip"]
    assert found["isHidden"]
    assert found["heading"] == "node_0"
    assert found["tab"] == "Compare"


@pytest.mark.prove
def test_the_pass_is_played(page: Callable[..., Any]) -> None:
    found = page("use", "play")
    assert found["said"] == [
        "The inputs go in.",
        "Each node of hidden_0 adds up value × weight, then applies relu.",
        "Each node of hidden_1 adds up value × weight, then applies relu.",
        "Each node of output adds up value × weight.",
    ]
    assert found["later"] == 0


@pytest.mark.prove
def test_categories_missing_and_unknown_values(page: Callable[..., Any]) -> None:
    found = page("use", "features")
    # As in docs/how-to/explain.md.
    shares = ["at the means2750 EUR", "age+2000", "smoker+2000", "bmi+1000", "region−500", "for this row7250 EUR"]
    assert [words.strip() for words in found["shares"]] == shares
    assert found["warning"] == "'bmi' is 70 kg/m2, which is out of range: from 12 to 60 is in range"
    assert found["missing"] == "6250 EUR"
    assert found["unknown"] == "6500 EUR"
    assert found["names"][:4] == ["55", "–", "?", "yes"]


@pytest.mark.prove
def test_how_usual_a_value_is(page: Callable[..., Any], known: Client) -> None:
    rows, _ = cancer_rows()
    known.register("profiled", EXAMPLES / "breast_cancer" / "network.json")
    known.profile("profiled", rows)
    column = np.sort(rows["mean radius"].to_numpy())
    found = page("use", "usual", network="profiled", value=str(column[284]), unusual="100")
    assert found["words"] in {f"Above {percent} % of the 569 rows of the profile." for percent in (49, 50, 51)}
    assert found["odd"] == "Above all 569 rows of the profile."
    assert found["marked"] >= 1


@pytest.mark.prove
def test_a_new_version_is_shown_as_soon_as_it_is_registered(
    page: Callable[..., Any], known: Client, tmp_path: Path
) -> None:
    def document(weight: int) -> Any:
        examples = [{"inputs": [1], "outputs": [weight]}]
        return {"format": spec.FORMAT, "inputs": ["a"], "layers": [{"weights": [[weight]]}], "examples": examples}

    known.register("live", document(111))
    ready = tmp_path / "ready"
    with ThreadPoolExecutor() as pool:
        shown = pool.submit(page, "use", "live", network="live", words={"file": str(ready), "after": "222"})
        wait_until(lambda: ready.exists() or shown.done())
        known.register("live", document(222))
        assert shown.result()["version"] == "latest (2)"


@pytest.mark.prove
def test_names_that_are_markup_are_text(page: Callable[..., Any], known: Client, tmp_path: Path) -> None:
    attack = "<img src=x onerror=touched=1>"
    output = '"><svg onload=touched=1>'
    layers = [{"name": "hidden", "weights": [[1, 2]], "activation": "relu"}, {"name": "last", "weights": [[1]]}]
    known.register(
        "hostile",
        {
            "format": spec.FORMAT,
            "inputs": [
                attack,
                {"name": "'); alert(1); ('", "unit": "<b>", "description": "<script>touched=1</script>"},
            ],
            "layers": layers,
            "outputs": [output],
            "description": "</script><script>touched=1</script>",
        },
    )
    found = page("use", "hostile", network="hostile")
    assert not found["isTouched"]
    assert found["labels"][0] == attack
    assert found["output"] == output
    saved = page("take", "files", network="hostile", folder=str(tmp_path), words="svg", kinds=["SVG", "Python"])[
        "saved"
    ]
    drawn = ET.parse(saved["SVG"])  # noqa: S314 - our own file
    assert {element.tag.rpartition("}")[2] for element in drawn.iter()} <= {
        "svg",
        "style",
        "g",
        "path",
        "rect",
        "circle",
        "text",
    }
    compile(Path(saved["Python"]).read_text(), "saved", "exec")


@pytest.mark.prove
def test_a_file_with_its_truth(page: Callable[..., Any], known: Client, tmp_path: Path) -> None:
    rows, labels = cancer_rows()
    prediction = known.predict("cancer", rows)
    wrong = sum(one != other for one, other in zip(prediction.labels, labels, strict=True))
    layer = known.trace("cancer", rows).layers[1]
    highest = float(layer.activation[:, 1].max())
    for suffix in ("csv", "parquet"):
        path = tmp_path / f"rows.{suffix}"
        write_rows(path, rows, labels)
        found = page("rows", "file", path=str(path), network="cancer", node=[1, 1])
        assert found["summary"].startswith(f"{wrong} wrong rows of {len(rows)} ")
        assert found["wrong"] == wrong
        assert float(found["highest"]) == pytest.approx(highest, rel=1e-3)
        assert float(found["spread"][-1]) == pytest.approx(highest, rel=1e-2)


def cancer_rows() -> tuple[Any, list[str]]:
    from sklearn.datasets import load_breast_cancer

    frame = load_breast_cancer(as_frame=True)
    return frame.data, [("malignant", "benign")[index] for index in frame.target]


def write_rows(path: Path, rows: Any, labels: list[str]) -> None:
    table = rows.assign(target=labels)
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, compression="zstd")


@pytest.mark.prove
def test_a_dropped_file_with_a_row_that_is_rejected(page: Callable[..., Any]) -> None:
    text = "smoker;age;bmi;region\ntrue;55;32;south\nfalse;130;20;north\nfalse;40;;the moon\n"
    found = page("rows", "drop", file="three.csv", text=text, network="insurance", rejected=(":predict",))
    assert found["summary"] == "1 row rejected"
    first, second, third = found["cells"]
    assert first.endswith("7250")
    assert "is out of range: from 0 to 120 is in range" in second
    assert third.endswith("2500")


@pytest.mark.prove
def test_two_versions_side_by_side(page: Callable[..., Any]) -> None:
    found = page("rows", "compare", network="doubled", version="1")
    assert found["caption"].startswith("1 node differs")
    assert found["marked"] == 2
    assert "1 of 3 changed" in found["changes"]


@pytest.mark.prove
def test_two_rows_side_by_side(page: Callable[..., Any]) -> None:
    found = page("rows", "twoRows")
    assert found["headings"] == ["children 2, accounts 4", "children 2, accounts 3"]
    assert found["rows"][0] == "inputsaccounts43+1"


@pytest.mark.prove
def test_what_is_taken_along(
    page: Callable[..., Any], known: Client, view_server: ServerProcess, tmp_path: Path
) -> None:
    kinds = ["SVG", "PNG", "JSON", "Python"]
    found = page("take", "files", network="article-2-hidden", folder=str(tmp_path), words="182", kinds=kinds)
    files = {kind: Path(path) for kind, path in found["saved"].items()}
    document = json.loads(files["JSON"].read_text())
    trace = known.trace("article-2-hidden", {"children": 3, "accounts": 5})
    for layer, expected in zip(document["layers"], trace.layers, strict=True):
        assert [node["activation"] for node in layer["nodes"]] == expected.activation[0].tolist()
        assert [node["pre_activation"] for node in layer["nodes"]] == expected.pre_activation[0].tolist()
    assert document["outputs"] == [{"name": "transactions", "value": 182}]
    drawn = ET.parse(files["SVG"]).getroot()  # noqa: S314 - our own file
    assert {"182", "26", "accounts"} <= {text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")}
    assert files["PNG"].read_bytes().startswith(b"\x89PNG")
    program = files["Python"].read_text().replace("127.0.0.1:50051", view_server.address)
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True)
    assert "182" in ended.stdout


@pytest.mark.prove
def test_tokens(start_server: Callable[..., ServerProcess], tmp_path: Path) -> None:
    scopes = {"few": "read,predict", "all": "read,predict,trace"}
    lines = [f"{hashlib.sha256(token.encode()).hexdigest()} {granted}" for token, granted in scopes.items()]
    tokens = tmp_path / "tokens"
    tokens.write_text("\n".join(lines))
    tokens.chmod(0o600)
    server = start_server(*VIEW, "--tokens-file", str(tokens))
    found = shown(server, "use", "tokens", few="few", all="all", rejected=("401 (Unauthorized)", "403 (Forbidden)"))
    assert found["refused"] == "This server needs a token that it knows: enter one at the top of the page."
    assert "trace" in found["limited"]
    local, session, cookie, address = found["stored"]
    assert (local, session, cookie) == (0, 1, "")
    assert "all" not in address.rpartition("#")[2].split("&")


@pytest.mark.prove
def test_axe_finds_nothing(page: Callable[..., Any], tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    with rows.open("w") as file:
        csv.writer(file).writerows([["age", "bmi", "region", "smoker", "target"], [55, 32, "south", "true", 7000]])
    assert page("judge", "axe", network="insurance", rows=str(rows))["found"] == []


@pytest.mark.prove
def test_the_pictures_of_the_docs(page: Callable[..., Any], tmp_path: Path) -> None:
    """Draws them into build/page, from where a change of the page takes them to docs/how-to/view."""
    folder = Path(__file__).parents[3] / "build" / "page"
    folder.mkdir(parents=True, exist_ok=True)
    path = tmp_path / "rows.csv"
    write_rows(path, *cancer_rows())
    page("judge", "pictures", folder=str(folder), rows=str(path), network="cancer")
    assert {file.name for file in folder.glob("*.png")} >= {"desk.png", "phone.png", "rows.png", "compare.png"}


@pytest.mark.prove
def test_nothing_is_wider_than_the_page(page: Callable[..., Any]) -> None:
    networks = ["article-2-hidden", "insurance", "cancer", "residual", "wide"]
    assert page("judge", "width", networks=networks)["found"] == []


@pytest.mark.prove
def test_the_picture_follows_a_drag(page: Callable[..., Any], known: Client, engine: str) -> None:
    for name in ("article-2-hidden", "random", "cancer", "wide"):
        found = page("drag", "measure", network=name, seconds=3)
        rate = found["updates"] / found["seconds"]
        print(f"{engine} {name}: {rate:.0f} updates/s, median {found['median']:.0f} ms, p95 {found['p95']:.0f} ms")
        assert found["updates"] > 1
        if name == "random":  # the last value wins
            row = [found["value"], *[0.0] * 29]
            expected = float(known.predict("random", [row]).outputs[0, 0])
            assert float(found["output"].replace("−", "-")) == pytest.approx(expected, rel=1e-5)
