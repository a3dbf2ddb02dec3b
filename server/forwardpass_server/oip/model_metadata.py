"""The metadata and the configuration of a version, as ModelMetadata and ModelConfig return them."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

from forwardpass.attribution import METHODS

from forwardpass_server.oip.datatypes import DATATYPE_NAMES
from forwardpass_server.oip.inputs import INPUTS
from forwardpass_server.oip.outputs import LABEL, LAYER_PARTS, standard
from forwardpass_server.oip.v2 import inference_pb2 as v2
from forwardpass_server.oip.v2 import model_config_pb2 as config

if TYPE_CHECKING:
    from forwardpass_server.registry import LoadedVersion, VersionState

PLATFORM: Final = "forwardpass"
FILE: Final = "network.safetensors"
_LARGEST_BATCH: Final = 2**31 - 1
_TYPES: Final = {
    "FP32": config.TYPE_FP32,
    "FP64": config.TYPE_FP64,
    "BYTES": config.TYPE_STRING,
    "BOOL": config.TYPE_BOOL,
}
_KINDS: Final = {"category": "BYTES", "boolean": "BOOL"}
"""The datatype of each kind of feature other than numbers."""


def metadata(loaded: "LoadedVersion", versions: "Iterable[VersionState]") -> v2.ModelMetadataResponse:
    """Return the inputs and outputs of a version, all of which generic clients send and ask for.

    Args:
        loaded: The version.
        versions: All versions of its network.
    """
    tensor = v2.ModelMetadataResponse.TensorMetadata
    return v2.ModelMetadataResponse(
        name=loaded.name,
        versions=[str(version.number) for version in versions if version.in_service],
        platform=PLATFORM,
        inputs=[tensor(name=name, datatype=datatype, shape=[-1, width]) for name, datatype, width in _inputs(loaded)],
        outputs=[tensor(name=name, datatype=datatype, shape=[-1, width]) for name, datatype, width in _outputs(loaded)],
    )


def max_batch_size(max_rows: int) -> int:
    """Return the `max_batch_size` of every configuration, which has 32 bits."""
    return min(max_rows, _LARGEST_BATCH)


def configuration(loaded: "LoadedVersion", versions: "Iterable[VersionState]", max_rows: int) -> config.ModelConfig:
    """Return the configuration of a version; all other names that a request may use are JSON under `parameters`.

    Args:
        loaded: The version.
        versions: All versions of its network.
        max_rows: The most rows of a request.
    """
    layers = [f"{layer.name}.{part}" for layer in loaded.plan.layers for part in LAYER_PARTS]
    parameters = {
        "digest": loaded.digest,
        "numerics": loaded.numerics,
        "feature_inputs": _listed(loaded.input_names),
        "single_outputs": _listed(loaded.output_names),
        "layer_outputs": _listed(layers),
        "classes": _listed(loaded.classes),
        "attribution_methods": _listed([*METHODS]),
    }
    in_service = {version.number: version.in_service for version in versions}
    policy = config.ModelVersionPolicy(all=config.ModelVersionPolicy.All())
    if not all(in_service.values()):
        some = [number for number, serves in in_service.items() if serves]
        policy = config.ModelVersionPolicy(specific=config.ModelVersionPolicy.Specific(versions=some))
    return config.ModelConfig(
        name=loaded.name,
        platform=PLATFORM,
        backend=PLATFORM,
        version_policy=policy,
        max_batch_size=max_batch_size(max_rows),
        input=[
            config.ModelInput(name=name, data_type=_TYPES[datatype], dims=[width])
            for name, datatype, width in _inputs(loaded)
        ],
        output=[
            config.ModelOutput(name=name, data_type=_TYPES[datatype], dims=[width])
            for name, datatype, width in _outputs(loaded)
        ],
        default_model_filename=FILE,
        dynamic_batching=config.ModelDynamicBatching(),
        model_transaction_policy=config.ModelTransactionPolicy(decoupled=False),
        parameters={name: config.ModelParameter(string_value=value) for name, value in parameters.items()},
    )


def _inputs(loaded: "LoadedVersion") -> list[tuple[str, str, int]]:
    """Return the name, datatype and width of each input: one tensor if all features are numbers, else one for each."""
    number = DATATYPE_NAMES[loaded.plan.dtype.name]
    if loaded.typed is None or all(feature.kind == "number" for feature in loaded.typed.features):
        return [(INPUTS, number, loaded.plan.inputs)]
    return [(feature.name, _KINDS.get(feature.kind, number), 1) for feature in loaded.typed.features]


def _outputs(loaded: "LoadedVersion") -> list[tuple[str, str, int]]:
    """Return the name, datatype and width of each output of a request that names none."""
    datatype = DATATYPE_NAMES[loaded.plan.dtype.name]
    return [
        (output.name, "BYTES", 1) if output.name == LABEL else (output.name, datatype, loaded.plan.outputs)
        for output in standard(loaded)
    ]


def _listed(names: Sequence[str]) -> str:
    """Return names as JSON, since a name may have a comma."""
    return json.dumps(names, ensure_ascii=False)
