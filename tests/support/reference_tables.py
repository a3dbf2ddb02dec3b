"""The parts of the documentation that are generated from the code: `make reference` writes them, tests compare them."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal, get_args, get_origin

from forwardpass import spec
from forwardpass.importers.keras.model_reader import LAYERS as KERAS_LAYERS
from forwardpass.importers.keras.model_reader import OPERATIONS as KERAS_OPERATIONS
from forwardpass.importers.onnx.function_bodies import FUNCTIONS as ONNX_FUNCTIONS
from forwardpass.importers.onnx.operators import OPERATORS as ONNX_OPERATORS
from forwardpass.importers.pytorch.modules import MODULES
from forwardpass.importers.pytorch.operations import OPERATIONS
from forwardpass.importers.scikit_learn.calibration import CALIBRATED
from forwardpass.importers.scikit_learn.ensembles import ENSEMBLES
from forwardpass.importers.scikit_learn.estimators import ESTIMATORS, SCORERS
from forwardpass.importers.scikit_learn.model_reader import TRANSFORMERS, WRAPPERS
from forwardpass.spec.activations import ACTIVATIONS
from forwardpass.spec.convolution import FILLS
from forwardpass.spec.layers import KINDS, Axes, LayerModel
from forwardpass_server import settings
from forwardpass_server.core import ACTIVATIONS as FUNCTIONS
from pydantic.fields import FieldInfo

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
SCHEMA = REFERENCE / "network.schema.json"
TABLES = {name: REFERENCE / f"{name}.md" for name in ("activations", "layers", "settings")}
TABLES["operators"] = REFERENCE.parent / "importing" / "operators.md"


def schema() -> str:
    """The JSON Schema of the JSON form."""
    return json.dumps(spec.json_schema(), indent=2, ensure_ascii=False) + "\n"


def table(name: str) -> list[str]:
    """The rows of a table, without its head."""
    return _ROWS[name]()


def rows_of(text: str) -> list[str]:
    """The rows of the first table of a page, without its head."""
    lines = text.splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("|---")) + 1
    end = next(index for index in range(start, len(lines) + 1) if not "".join(lines[index : index + 1]).startswith("|"))
    return lines[start:end]


def _activation(name: str) -> str:
    formula = _first_line(FUNCTIONS[name]).removeprefix("Return ")
    parameters = ", ".join(f"`{key}` = {known.default:g}" for key, known in ACTIVATIONS[name].parameters.items())
    return f"| `{name}` | {formula} | {parameters} |"


def _layer(kind: str) -> str:
    model = KINDS[kind]
    own = [key for key in model.model_fields if key not in {*LayerModel.model_fields, "kind"}]
    fields = ", ".join(_field(key, model.model_fields[key]) for key in own)
    return f"| `{kind}` | {fields} | {_first_line(model)} |"


def _field(key: str, field: FieldInfo) -> str:
    axes = next((known for known in field.metadata if isinstance(known, Axes)), None)
    shape = f" `[{', '.join(axes.names)}]`" if axes else ""
    if get_origin(field.annotation) is Literal:
        return f"`{key}`: {', '.join(f'`{word}`' for word in get_args(field.annotation))}"
    if key in FILLS:
        return f"`{key}` ({['zeros', 'ones'][FILLS[key]]})"
    if field.is_required():
        return f"`{key}`{shape}"
    fill = None if axes is None else axes.fill
    default = {None: "none", 0.0: "zeros", 1.0: "ones"}[fill] if axes else f"{field.default or 0:g}"
    return f"`{key}`{shape} ({'NaN' if axes is None and field.default is None else default})"


def _first_line(documented: object) -> str:
    return (documented.__doc__ or "").split("\n")[0].replace("|", "\\|")


def _operators() -> Iterator[str]:
    """Yield a row for each of the tables by which a framework's front end finds the reader of an operator."""
    tables: dict[tuple[str, str], Iterable[str]] = {
        ("ONNX", "operators"): (op for domain, op in ONNX_OPERATORS if not domain),
        ("ONNX", "operators of `ai.onnx.ml`"): (op for domain, op in ONNX_OPERATORS if domain),
        ("ONNX", "operators that are read as the nodes of their definition"): ONNX_FUNCTIONS,
        ("Keras", "layers"): KERAS_LAYERS,
        ("Keras", "operations of `keras.ops`, and `+ - * /`"): KERAS_OPERATIONS,
        ("PyTorch", "modules of `torch.nn`"): MODULES,
        ("PyTorch", "functions, methods and operators, also in place and of `aten`"): {
            name.removeprefix("aten.") for name in OPERATIONS
        },
        ("scikit-learn", "models"): ESTIMATORS,
        ("scikit-learn", "models of models"): {*ENSEMBLES, *CALIBRATED, *WRAPPERS, "Pipeline"},
        ("scikit-learn", "transformers"): TRANSFORMERS,
        ("scikit-learn", "classifiers in `CalibratedClassifierCV`"): SCORERS,
    }
    for (framework, what), names in tables.items():
        listed = ", ".join(f"`{name}`" for name in sorted(names, key=lambda name: (name.lower(), name)))
        yield f"| {framework} | {what} | {listed} |"


_ROWS = {
    "activations": lambda: list(map(_activation, FUNCTIONS)),
    "layers": lambda: list(map(_layer, KINDS)),
    "operators": lambda: list(_operators()),
    "settings": lambda: settings.table().splitlines()[2:],
}


def main() -> None:
    """Write the schema and the tables."""
    SCHEMA.write_text(schema())
    for name, page in TABLES.items():
        text = page.read_text()
        page.write_text(text.replace("\n".join(rows_of(text)), "\n".join(table(name))))


if __name__ == "__main__":
    main()
