"""A version of a network as the protocol's models are described: metadata and configuration."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from forwardpass_server.oip.datatypes import NAMES
from forwardpass_server.oip.inputs import INPUTS
from forwardpass_server.oip.outputs import LABEL, LAYER_PARTS, OUTPUTS
from forwardpass_server.oip.v2 import inference_pb2 as v2
from forwardpass_server.oip.v2 import model_config_pb2 as config

if TYPE_CHECKING:
    from forwardpass_server.registry import Served

PLATFORM: Final = "forwardpass"
FILE: Final = "network.safetensors"
_LARGEST_BATCH: Final = 2**31 - 1


def metadata(served: "Served", versions: Sequence[int]) -> v2.ModelMetadataResponse:
    """Describe what a version reads and answers; stock clients send every input and ask for every output of these."""
    tensor = v2.ModelMetadataResponse.TensorMetadata
    datatype = NAMES[served.plan.dtype.name]
    outputs = [tensor(name=OUTPUTS, datatype=datatype, shape=[-1, served.plan.outputs])]
    if served.classes:
        outputs.append(tensor(name=LABEL, datatype="BYTES", shape=[-1, 1]))
    return v2.ModelMetadataResponse(
        name=served.name,
        versions=[str(version) for version in versions],
        platform=PLATFORM,
        inputs=[tensor(name=INPUTS, datatype=datatype, shape=[-1, served.plan.inputs])],
        outputs=outputs,
    )


def configuration(served: "Served", versions: Sequence[int] | None, max_rows: int) -> config.ModelConfig:
    """Describe a version as Triton's tools want it; the other names it takes are JSON under `parameters`.

    Args:
        served: The version.
        versions: Those of its network that are in service, or None if all are.
        max_rows: The most rows of a request.
    """
    datatype = {"FP32": config.TYPE_FP32, "FP64": config.TYPE_FP64}[NAMES[served.plan.dtype.name]]
    outputs = [config.ModelOutput(name=OUTPUTS, data_type=datatype, dims=[served.plan.outputs])]
    if served.classes:
        outputs.append(config.ModelOutput(name=LABEL, data_type=config.TYPE_STRING, dims=[1]))
    layers = [f"{layer.name}.{part}" for layer in served.plan.layers for part in LAYER_PARTS]
    parameters = {
        "digest": served.digest,
        "numerics": served.numerics,
        "feature_inputs": _listed(served.input_names),
        "single_outputs": _listed(served.output_names),
        "layer_outputs": _listed(layers),
        "classes": _listed(served.classes),
    }
    policy = config.ModelVersionPolicy(all=config.ModelVersionPolicy.All())
    if versions is not None:
        policy = config.ModelVersionPolicy(specific=config.ModelVersionPolicy.Specific(versions=versions))
    return config.ModelConfig(
        name=served.name,
        platform=PLATFORM,
        backend=PLATFORM,
        version_policy=policy,
        max_batch_size=min(max_rows, _LARGEST_BATCH),
        input=[config.ModelInput(name=INPUTS, data_type=datatype, dims=[served.plan.inputs])],
        output=outputs,
        default_model_filename=FILE,
        dynamic_batching=config.ModelDynamicBatching(),
        model_transaction_policy=config.ModelTransactionPolicy(decoupled=False),
        parameters={name: config.ModelParameter(string_value=value) for name, value in parameters.items()},
    )


def _listed(names: Sequence[str]) -> str:
    """Return names as JSON, since there may be a comma in one."""
    return json.dumps(names, ensure_ascii=False)
