"""A version in memory, ready to compute."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Final

import numpy as np
from forwardpass.numerics import Numerics
from forwardpass.profiles import Profile
from forwardpass.spec import Activation, NetworkSpec
from forwardpass.tensors import Array

from forwardpass_server.core import Layer, Plan
from forwardpass_server.registry.typed_features import TypedFeatures, typed_features

MAX_NAMED: Final = 1_000
"""A merged value is named after the values it merges if all of a layer's are at most this many."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LoadedVersion:
    """One version in memory: its plan, and what reading a request and writing a response need besides.

    Attributes:
        name: The network's name.
        version: The version's number.
        digest: SHA-256 of the content, hexadecimal.
        plan: The compiled plan.
        input_names: A name for each input.
        feature_index: The index of each input by name.
        output_names: A name for each output.
        classes: A label for each class, or empty.
        kinds: The kind of each layer.
        nodes: The node names of each layer.
        activations: The activation of each layer, as in the spec.
        allow_non_finite: Whether inputs may be NaN or infinite.
        numerics: How the plan is computed.
        typed: The features if one of them is typed, else None.
        thresholds: `(outputs,)` in the plan's dtype: the output from which a class is chosen; or None.
        profile: The profile, where a request compares values with it and there is one; else None.
    """

    name: str
    version: int
    digest: str
    plan: Plan
    input_names: tuple[str, ...]
    feature_index: Mapping[str, int]
    output_names: tuple[str, ...]
    classes: tuple[str, ...]
    kinds: tuple[str, ...]
    nodes: tuple[tuple[str, ...], ...]
    activations: tuple[Activation, ...]
    allow_non_finite: bool
    numerics: Numerics
    typed: TypedFeatures | None = None
    thresholds: Array | None = None
    profile: Profile | None = None

    @classmethod
    def of(cls, name: str, version: int, digest: str, spec: NetworkSpec, plan: Plan) -> "LoadedVersion":
        """Combine a spec and its compiled plan."""
        return cls(
            name=name,
            version=version,
            digest=digest,
            plan=plan,
            input_names=spec.inputs.names,
            feature_index={feature: index for index, feature in enumerate(spec.inputs.names)},
            output_names=spec.outputs,
            classes=spec.classes,
            kinds=tuple(layer.kind for layer in spec.layers),
            nodes=tuple(layer.nodes for layer in spec.layers),
            activations=tuple(layer.activation for layer in spec.layers),
            allow_non_finite=spec.allow_non_finite_inputs,
            numerics="fast" if plan.fast else "exact",
            typed=typed_features(spec),
            thresholds=np.array(spec.thresholds, plan.dtype) if spec.thresholds else None,
        )

    @property
    def display_name(self) -> str:
        """The version in a sentence: `network 'NAME' version NUMBER`."""
        return f"network {self.name!r} version {self.version}"

    @property
    def output_classes(self) -> tuple[str, ...]:
        """For a classifier, the class that each output stands for: of two classes with one output, the second."""
        return self.classes[-self.plan.outputs :]

    def reads(self, layer: Layer) -> tuple[str, ...]:
        """Return a name for each value that a layer reads.

        A merged value is named `max(a_0, b_0)`; if a layer merges more than `MAX_NAMED` values, `max_0`.
        """
        names = {"inputs": self.input_names}
        names |= {other.name: nodes for other, nodes in zip(self.plan.layers, self.nodes, strict=True)}
        start = 0
        for group, width in self.plan.groups.items():
            names[group] = self.input_names[start : start + width]
            start += width
        sources = [names[name] for name in layer.from_]
        if layer.merge is None:
            return sources[0]
        if layer.merge == "concatenate":
            return tuple(chain.from_iterable(sources))
        if len(sources) * len(sources[0]) > MAX_NAMED:
            return tuple(f"{layer.merge}_{index}" for index in range(len(sources[0])))
        return tuple(f"{layer.merge}({', '.join(values)})" for values in zip(*sources, strict=True))
