"""The demonstration of `make demo`: a real server, real networks, every node, a crash, and a faulty spec."""

import json
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from forwardpass import Client, spec
from forwardpass.errors import InvalidNetworkError
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.metrics import accuracy_score, r2_score

from examples.sklearn_networks import to_pipeline

HERE = Path(__file__).parent


def main() -> None:
    """Show everything; an assertion fails if a result is wrong."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "forwardpass.db"
        with server(database) as (process, address), Client(address) as client:
            article(client)
            before = trained(client)
            heading("The server is killed (SIGKILL) and started again; its predictions are the same")
            process.kill()
            process.wait()
        with server(database) as (_, address), Client(address) as client:
            after = predictions(client)
            for name, outputs in before.items():
                assert outputs.tobytes() == after[name].tobytes(), name
                print(f"{name}: {len(outputs)} predictions, the same bits as before")
            faulty(client)
    heading("Now you")
    print("make serve                                              a server on port 50051")
    print(".venv/bin/forwardpass trace article-2-hidden '[3, 5]'   every node of a prediction")
    print(".venv/bin/forwardpass register mine examples/diabetes/network.json")
    print(".venv/bin/forwardpass --help                            all commands; README.md has the Python")


def article(client: Client) -> None:
    """Predict and trace the article's networks."""
    heading("A bank predicts a customer's transactions from the number of children and of accounts")
    for name, row, expected in (
        ("article-linear", {"children": 2, "accounts": 3}, 9.0),
        ("article-1-hidden", {"children": 2, "accounts": 3}, 9.0),
        ("article-2-hidden", {"children": 3, "accounts": 5}, 182.0),
    ):
        (output,) = client.predict(name, row).outputs.ravel().tolist()
        print(f"{name}: children {row['children']}, accounts {row['accounts']} -> {output:g} transactions")
        assert output == expected
    heading("Every node of that prediction")
    trace = client.trace("article-2-hidden", [3, 5])
    print(trace)
    assert [layer.activation.tolist() for layer in trace.layers] == [[[26, 0]], [[0, 26]], [[182]]]


def trained(client: Client) -> dict[str, np.ndarray]:
    """Register the trained networks and compare them with scikit-learn over all rows."""
    heading("Two networks trained by scikit-learn, over all rows of their data, beside scikit-learn itself")
    for name in ("breast-cancer", "diabetes"):
        done = client.register(name, HERE / name.replace("-", "_") / "network.json")
        layers = " -> ".join(str(layer.width) for layer in done.info.layers)
        print(f"registered {name} version {done.version}: {done.info.inputs} -> {layers}")
    served = predictions(client)

    data = load_breast_cancer()
    pipeline = to_pipeline(client.spec("breast-cancer"))
    labels = client.predict("breast-cancer", data.data).labels
    score = accuracy_score(data.target_names[data.target], labels)
    score_theirs = accuracy_score(data.target, pipeline.predict(data.data))
    ours, theirs = served["breast-cancer"], pipeline.predict_proba(data.data)[:, 1:]
    compare("breast-cancer", "accuracy", score, score_theirs, ours, theirs)

    data = load_diabetes(scaled=False)
    theirs = to_pipeline(client.spec("diabetes")).predict(data.data).reshape(-1, 1)
    ours = served["diabetes"]
    score, score_theirs = (r2_score(data.target, p[:, 0]) for p in (ours, theirs))
    compare("diabetes", "R2", score, score_theirs, ours, theirs)
    return served


def predictions(client: Client) -> dict[str, np.ndarray]:
    """Predict all rows of both data sets, each in one call."""
    rows = {"breast-cancer": load_breast_cancer().data, "diabetes": load_diabetes(scaled=False).data}
    return {name: client.predict(name, data).outputs for name, data in rows.items()}


def compare(name: str, measure: str, ours: float, theirs: float, outputs: np.ndarray, expected: np.ndarray) -> None:
    """Print both scores and the worst difference."""
    worst = np.max(np.abs(outputs - expected) / np.abs(expected))
    print(
        f"{name}: {len(outputs)} rows, {measure} {ours:.4f}, scikit-learn {theirs:.4f}, "
        f"worst relative difference {worst:.1e}"
    )
    assert ours == theirs
    assert worst <= 1e-12


def faulty(client: Client) -> None:
    """Register a faulty spec and print the error."""
    heading("A faulty spec: the error lists every fault at once")
    document = {
        "format": spec.FORMAT,
        "inputs": ["children", "accounts"],
        "layers": [
            {"name": "hidden", "weights": [[2, 4], [4, "five"]], "activation": "rleu"},
            {"name": "output", "weights": [[2, 7, 1]], "biass": [0]},
        ],
    }
    print(json.dumps(document))
    try:
        client.register("faulty", document)
    except InvalidNetworkError as error:
        print(error)
        assert len(error.faults) == 4
    else:
        raise AssertionError("the faulty spec was registered")


@contextmanager
def server(database: Path) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Start a server process on a free port; provide the process and its address."""
    command = [sys.executable, "-m", "forwardpass_server", "serve", "--listen", "127.0.0.1:0"]
    command += ["--database", f"sqlite:///{database}", "--lame-duck", "0", "--log-level", "warning"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            readable, _, _ = select.select([process.stdout], [], [], 30)
            line = process.stdout.readline().strip() if readable else ""
            assert "ready on " in line, "the server did not start"
            heading(line)
            yield process, line.rpartition(" ")[2]
        finally:
            process.terminate()


def heading(text: str) -> None:
    """Print a heading."""
    print(f"\n== {text}")


if __name__ == "__main__":
    main()
