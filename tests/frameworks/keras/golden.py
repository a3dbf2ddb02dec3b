"""Write the files of tests/client/importers/keras_files anew: `python -m tests.frameworks.keras.golden`.

They are small models, each with rows and what Keras computes of them, so that files are read in `make test` too, which
has no Keras.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from tests.frameworks.keras import architectures, cases, convolutional, recurrent, training
from tests.support.environments import ROOT

FOLDER: Final = ROOT / "tests" / "client" / "importers" / "keras_files"
MODELS: Final[Mapping[str, tuple[Callable[[], Any], Any]]] = {
    "normalized": (cases.normalized, training.CANCER),
    "prepared": (cases.prepared, cases.PREPARED),
    "nested": (cases.nested, training.DIABETES),
    "several_outputs": (cases.several_outputs, training.DIABETES),
    "pooled": (cases.pooled, training.PIXELS),
    "convolved": (convolutional.branches, training.PIXELS),
    "recurrent": (recurrent.rows_of_digits, training.PIXELS[::4]),
    "columns": (architectures.tabular_transformer, training.WHOLE),
    "parts": (architectures.normalizations, training.PIXELS),
    "attending": (architectures.attentions, training.PIXELS),
    "translator": (recurrent.translator, training.PIXELS[::4]),
}


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, (make, data) in MODELS.items():
        model, rows = make(), data[::50]
        model.save(FOLDER / f"{name}.keras")
        known = {"rows": rows.tolist(), "outputs": training.predicted(model, rows).tolist()}
        (FOLDER / f"{name}.json").write_text(json.dumps(known) + "\n")


if __name__ == "__main__":
    main()
