"""The responses of Explain: the shares of the inputs, as serialized messages."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final, cast

import numpy as np
from forwardpass.numerics import NUMERICS
from forwardpass.tensors import to_tensor
from forwardpass.v1.attribution_pb2 import AttributionMethod, AttributionScale, CategoryValues, LayerAttributions
from forwardpass.v1.prediction_service_pb2 import ExplainResponse

from forwardpass_server.serving.encode.classifications import classify

if TYPE_CHECKING:
    from collections.abc import Iterator

    from forwardpass.tensors import Array

    from forwardpass_server.registry import LoadedVersion
    from forwardpass_server.serving.explanations import ExplainOptions, Explanation
    from forwardpass_server.serving.requests import Computed, RawRequest

_AROUND_A_CATEGORY: Final = 4
"""The bytes of the tag and length around a category."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ExplainEncoder:
    """Encodes explanations.

    Attributes:
        options: What is explained; equal encoders have the same.
        method: The method that the request names.
        scale: Its scale.
    """

    options: "ExplainOptions"
    method: AttributionMethod
    scale: AttributionScale

    def __call__(
        self,
        loaded: "LoadedVersion",
        computed: "Computed",
        requests: "Sequence[RawRequest]",
        counts: Sequence[int],
        revision: int,
    ) -> list[bytes]:
        """Serialize an `ExplainResponse` for each request."""
        del requests
        explanation = cast("Explanation", computed)
        return [
            self._message(loaded, explanation[start:end], revision).SerializeToString()
            for start, end in pairwise(accumulate(counts, initial=0))
        ]

    def _message(self, loaded: "LoadedVersion", explanation: "Explanation", revision: int) -> ExplainResponse:
        found = explanation.attributions
        nodes = {layer.name: names for layer, names in zip(loaded.plan.layers, loaded.nodes, strict=True)}
        message = ExplainResponse(
            outputs=to_tensor(explanation.outputs),
            network=loaded.name,
            version=loaded.version,
            digest=loaded.digest,
            output_names=loaded.output_names,
            output_classes=loaded.output_classes,
            classifications=classify(loaded, explanation.outputs),
            input_values=to_tensor(explanation.inputs),
            input_names=loaded.input_names,
            category_values=category_values(loaded, explanation.inputs),
            attributions=to_tensor(found.values),
            explained_outputs=explanation.targets.ravel().tolist(),
            explained_values=to_tensor(found.outputs),
            steps=() if found.steps is None else found.steps.ravel().tolist(),
            converged=() if found.is_converged is None else found.is_converged.ravel().tolist(),
            layers=[
                LayerAttributions(name=layer.name, nodes=nodes[layer.name], attributions=to_tensor(layer.values))
                for layer in found.layers
            ],
            numerics=NUMERICS[loaded.numerics],
            method=self.method,
            scale=self.scale,
            revision=revision,
        )
        for name in ("baseline_outputs", "completeness_error", "standard_error"):
            array = getattr(found, name)
            if array is not None:
                getattr(message, name).CopyFrom(to_tensor(array))
        return message


def category_values(loaded: "LoadedVersion", inputs: "Array") -> "Iterator[CategoryValues]":
    """Yield the categories of each feature that is one; inputs are `(rows, inputs)`."""
    for column, categories in _categories(loaded):
        indices = inputs[:, column]
        known = np.isfinite(indices)
        yield CategoryValues(
            feature=loaded.input_names[column],
            values=[
                categories[int(index)] if is_known else ""
                for index, is_known in zip(indices.tolist(), known.tolist(), strict=True)
            ],
        )


def category_bytes(loaded: "LoadedVersion") -> int:
    """Return the most bytes that the categories of a row take in a response."""
    return sum(
        max(len(category.encode()) for category in categories) + _AROUND_A_CATEGORY
        for _, categories in _categories(loaded)
    )


def _categories(loaded: "LoadedVersion") -> "Iterator[tuple[int, Sequence[str]]]":
    if loaded.typed is not None:
        for column, feature in enumerate(loaded.typed.features):
            if feature.categories:
                yield column, feature.categories
