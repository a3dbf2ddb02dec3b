"""`forwardpass import`: from the caller's module to a registered network."""

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from forwardpass import Client, spec
from forwardpass.cli.app import app
from forwardpass.importers import Certificate
from typer.testing import CliRunner

from tests.client.cli.conftest import Run
from tests.support.server_process import ServerProcess

DOCS = Path(__file__).parents[3] / "docs" / "importing" / "index.md"
TRAIN = """
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import QuantileTransformer, StandardScaler

x, y = load_iris(return_X_y=True)
model = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
unreadable = make_pipeline(QuantileTransformer(n_quantiles=9), LogisticRegression()).fit(x, y)


def make():
    return model


def fail():
    raise RuntimeError("no data")


class holder:
    inner = model
"""


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCS.read_text(), flags=re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "rows.csv").write_text("input_1,input_0,input_2,input_3\n3.5,5.1,1.4,0.2\n3.0,4.9,1.4,0.2\n")
    return tmp_path


def test_the_recipe_in_the_docs(run: Run, tmp_path: Path, server: ServerProcess) -> None:
    train = next(code for code in blocks("python") if code.startswith("# train.py"))
    (tmp_path / "train.py").write_text(train)
    console, *_ = blocks("console")
    lines = [shlex.split(line.removeprefix("$ forwardpass ")) for line in console.splitlines()]
    said, shown, predicted = (" ".join(run(*line, cwd=tmp_path).stdout.split()) for line in lines)
    assert "parity: scikit-learn" in said
    assert "on 150 given and 1,000 random rows" in said
    assert "iris version 1, digest" in said
    assert "Pipeline(StandardScaler, LogisticRegression): differs by at most" in shown
    assert "parity digest" not in shown
    assert "setosa" in predicted.split()[-2:]
    with Client(server.address) as client:
        network, version = client.spec("iris"), client.version("iris")
    certificate = Certificate.of(version.metadata)
    assert certificate is not None
    assert certificate.covers(network)
    assert len(network.examples) == 8


def test_the_python_in_the_docs() -> None:
    (code,) = (code for code in blocks("python") if "load_diabetes" in code)
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=180, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "on 442 given and 1,000 random rows" in ran.stdout


def here(*arguments: str, code: int = 0) -> str:
    """What a command says that needs no server, run in this process."""
    ended = CliRunner().invoke(app, ["import", *arguments])
    assert ended.exit_code == code, ended.output
    return ended.output if ended.exception is None or code == 2 else str(ended.exception)


@pytest.fixture
def inside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a module, as the current one."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    yield folder
    sys.modules.pop("train", None)


def test_a_spec_is_written_and_a_change_of_it_is_seen(inside: Path) -> None:
    said = json.loads(here("train:holder.inner", "--out", "iris.json", "--csv", "rows.csv", "--json"))
    assert (said["given_rows"], said["random_rows"]) == (2, 1_000)
    assert spec.load("iris.json").examples[0].inputs == (5.1, 3.5, 1.4, 0.2)
    here("train:make", "--out", "iris.safetensors", "--dtype", "float32")
    assert spec.load("iris.safetensors").dtype == "float32"
    assert "parity: scikit-learn" in CliRunner().invoke(app, ["validate", "iris.json"]).output
    file = inside / "iris.json"
    document = json.loads(file.read_text())
    document["layers"][0]["bias"][0] += 1
    file.write_text(json.dumps(document))
    assert "parity: NOT PROVEN, it was changed since" in CliRunner().invoke(app, ["validate", "iris.json"]).output


WRONG = {
    "unreadable": (("train:unreadable",), "model.steps[0] (quantiletransformer): QuantileTransformer is not supported"),
    "pickle": (("model.pkl",), "is a pickle, and reading one runs whatever code is in it"),
    "pickle of PyTorch": (("model.pt",), "save its numbers by `safetensors.torch.save_model(module, FILE)`"),
    "weights alone": (("model.safetensors",), "name the module that they belong to by --architecture MODULE:ATTRIBUTE"),
    "weights of no module": (
        ("model.safetensors", "--architecture", "train:model"),
        "train:model: is a Pipeline, and must be a torch.nn.Module",
    ),
    "file": (("train.py",), "is no MODULE:ATTRIBUTE, such as train:model"),
    "module": (("nowhere:model",), "cannot be imported: ModuleNotFoundError"),
    "part of a module": (("train.nowhere:model",), "'train' is not a package"),
    "attribute": (("train:nothing",), "module 'train' has no attribute 'nothing'"),
    "code that fails": (("train:fail",), "RuntimeError('no data')"),
    "no model": (("train:x",), "numpy.ndarray cannot be imported"),
    "tolerance": (("train:model", "--dtype", "float32", "--tolerance", "1e-12"), "differ by more than 1e-12"),
}


@pytest.mark.usefixtures("inside")
@pytest.mark.parametrize(("arguments", "words"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said(arguments: tuple[str, ...], words: str) -> None:
    assert words in here(*arguments, "--out", "x.json", code=1)
    assert not Path("x.json").exists()


def test_a_name_or_a_file_is_needed() -> None:
    assert "--name or --out" in here("train:model", code=2)
