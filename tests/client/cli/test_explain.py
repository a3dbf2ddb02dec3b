"""`forwardpass explain` against a real server."""

import json
from pathlib import Path

import pytest
from forwardpass import Client, spec

from tests.client.cli.conftest import Run
from tests.support.sample_networks import chain
from tests.support.server_process import ServerProcess

NAME = "article-1-hidden"
INSURANCE = Path(__file__).parents[3] / "examples" / "features" / "insurance.json"


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line]


def test_a_table_with_bars(run: Run) -> None:
    printed = run("explain", NAME, "[[0, 1], [2, 3]]", "--row", "1", "--layer", "hidden").stdout
    assert lines(printed) == [
        [NAME, "version", "1,", "row", "1", "of", "2:", "integrated_gradients"],
        ["transactions", "=", "9,", "9", "more", "than", "the", "baseline's", "0"],
        ["input", "value", "share"],
        ["children", "2", "+6", "│████████████"],
        ["accounts", "3", "+3", "│██████"],
        ["hidden", "share"],
        ["node_0", "+10", "│████████████"],
        ["node_1", "-1", "█│"],
    ]
    assert all(line == line.rstrip() for line in printed.splitlines())


def test_values_are_those_of_people(run: Run, server: ServerProcess) -> None:
    with Client(server.address) as client:
        client.register("cli-insurance", INSURANCE)
    rows, baseline = (json.dumps({"age": age, "bmi": 27, "region": "south", "smoker": False}) for age in (55, 40))
    printed = run("explain", "cli-insurance", rows, "--baseline", baseline, "--method", "feature_ablation").stdout
    assert ["age", "55", "+2000", "│████████████"] in lines(printed)
    assert ["region", "south", "+0", "│"] in lines(printed)


def test_a_method_without_a_baseline(run: Run) -> None:
    printed = run("explain", NAME, "[2, 3]", "--method", "gradient").stdout
    assert "transactions = 9\n" in printed
    assert ["children", "2", "+3", "│████████████"] in lines(printed)


def test_sampled_shares_have_their_errors_and_small_ones_are_added_up(run: Run, server: ServerProcess) -> None:
    with Client(server.address) as client:
        client.register("cli-many", chain([30, 4, 3], classes=["a", "b", "c"]))
    options = ("--method", "shapley_values", "--samples", "3", "--seed", "2", "--scale", "outputs")
    printed = run("explain", "cli-many", json.dumps([1] * 30), *options).stdout
    assert "standard error" in printed
    assert printed.splitlines()[-1].startswith("10 more, together ")
    assert len(lines(printed)) == 3 + 20 + 1
    two = run("explain", "cli-many", json.dumps([1] * 30), "--output", "layer_1_0", "--output", "layer_1_2").stdout
    assert two.count("than the baseline's") == 2


def test_what_is_not_exact_is_said_with_a_remedy_that_helps(run: Run, server: ServerProcess) -> None:
    document = {"format": spec.FORMAT, "inputs": 1, "layers": [{"weights": [[9]], "activation": "tanh"}] * 2}
    with Client(server.address) as client:
        client.register("cli-bent", document)
    ended = run("explain", "cli-bent", "[1]", "--max-steps", "8", "--tolerance", "1e-12")
    assert "allow more with --max-steps, or a larger error with --tolerance" in ended.stderr
    for option, value in (("--max-steps", "10000"), ("--tolerance", "0.9")):
        given = {"--max-steps": "8", "--tolerance": "1e-12"} | {option: value}
        arguments = [text for pair in given.items() for text in pair]
        assert run("explain", "cli-bent", "[1]", *arguments).stderr == ""


@pytest.mark.parametrize(
    ("outputs", "classes", "arguments", "title"),
    [
        (["o_0", "o_1"], ["x", "y"], [], "x = 0.5, "),
        (["o_0", "o_1"], ["x", "y"], ["--output", "y"], "y = 0.5, "),
        (["small", "y"], ["x", "y"], [], "x (small) = 0.5, "),
        (["o_0"], ["no", "yes"], [], "probability of yes = 0.5, "),
        (["risk"], ["no", "yes"], [], "probability of yes (risk) = 0.5, "),
        (["o_0"], ["no", "yes"], ["--scale", "logits"], "logit of yes = 0, "),
    ],
)
def test_a_class_is_named(
    run: Run, server: ServerProcess, outputs: list[str], classes: list[str], arguments: list[str], title: str
) -> None:
    layer = {"weights": [[0]] * len(outputs), "activation": "softmax" if len(outputs) > 1 else "sigmoid"}
    document = {"format": spec.FORMAT, "inputs": 1, "outputs": outputs, "classes": classes, "layers": [layer]}
    with Client(server.address) as client:
        name = "-".join(["cli", *outputs, *classes])
        client.register(name, document)
    assert run("explain", name, "[1]", *arguments).stdout.splitlines()[2].startswith(title)


def test_json(run: Run, tmp_path: Path) -> None:
    printed = json.loads(run("explain", NAME, "[[2, 3]]", "--json", "--method", "shapley_values").stdout)
    assert (printed["attributions"], printed["explained_outputs"]) == ([[5.0, 4.0]], [["transactions"]])
    out = tmp_path / "out.json"
    assert run("explain", NAME, "[[2, 3]]", "--method", "shapley_values", "--out", str(out)).stdout == f"{out}\n"
    assert json.loads(out.read_text()) == printed


def test_a_picture(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "out.svg"
    assert run("explain", NAME, "[[0, 1], [2, 3]]", "--row", "1", "--out", str(out)).stdout == f"{out}\n"
    drawn = out.read_text()
    assert drawn.startswith("<svg")
    assert "children" in drawn


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--row", "1"], 2, "there are 1 rows"),
        (["--out", "x.gif"], 2, "must end in .svg, .png, .txt or .json"),
        (["--out", "/nowhere/x.json"], 1, "cannot be written"),
        (["--method", "magic"], 1, "method is 'magic'; must be one of gradient, "),
        (["--baseline", "ones"], 1, "baseline is 'ones'"),
        (["--baseline", "[1,"], 1, "rows of --baseline: are not JSON as they end too early; write [2, 3]"),
        (["--baseline", "[1, x]"], 1, "rows of --baseline: are not JSON from character 5 on, 'x]'; write [2, 3]"),
        (["--baseline", "[0]"], 1, "has shape [1]; network 'article-1-hidden' version 1 reads [rows, 2]"),
        (["--baseline", "[0]"], 1, "give a row of 2 numbers, several rows, `zeros` or `means`"),
        (["--baseline", '{"children": [[]]}'], 1, "baseline: the rows cannot be sent: rows.children"),
        (["--version", "7"], 3, "has no version 7; the nearest is 1"),
        (["--baseline", "[]"], 1, "baseline: the array of rows is empty"),
        (["--baseline", "[1, 2, 3]"], 1, "baseline: tensor: has shape [3]"),
        (["--output", "x"], 1, "outputs[0]: is 'x'"),
        (["--layer", "x"], 3, "no layer 'x'"),
        (["--tolerance", "0"], 1, "tolerance: is 0"),
    ],
)
def test_what_is_wrong_is_said(run: Run, arguments: list[str], code: int, words: str) -> None:
    assert words in run("explain", NAME, "[2, 3]", *arguments, code=code).stderr
