"""Models in and out of service, and new ones from files: what the protocol calls the model repository.

There is one repository, the registry. A load with a file registers its content as a version, whose number
is the registry's to give; any other load takes every version of a network into service.
"""

import json
from collections.abc import Mapping
from typing import Final

from forwardpass import spec
from forwardpass.errors import ExampleFailedError, Fault, InvalidFieldError, InvalidNetworkError, NotFoundError

from forwardpass_server.oip.v2.inference_pb2 import ModelRepositoryParameter, RepositoryIndexResponse
from forwardpass_server.registry import Registry, VersionState

READY: Final = "READY"
UNAVAILABLE: Final = "UNAVAILABLE"

_CONFIG: Final = "config"
_FILE: Final = "file:"
_UNLOAD_DEPENDENTS: Final = "unload_dependents"

_MAX_TOLD: Final = 3
"""Faults in a sentence."""


def check_repository(name: str) -> None:
    """Refuse any repository but the one there is, which has no name.

    Raises:
        InvalidFieldError: There is none of this name.
    """
    if name:
        raise _wrong("repository_name", f"there is no repository '{name}'; leave repository_name empty")


def index(registry: Registry, *, ready: bool) -> RepositoryIndexResponse:
    """List every version, or only those that are ready."""
    entries = (_entry(registry, version) for version in registry.snapshot.versions())
    return RepositoryIndexResponse(models=(entry for entry in entries if entry.state == READY or not ready))


def _entry(registry: Registry, version: VersionState) -> RepositoryIndexResponse.ModelIndex:
    reason = "" if version.in_service else "unloaded"
    if registry.is_damaged(version):
        reason = "its stored content is damaged"
    return RepositoryIndexResponse.ModelIndex(
        name=version.network, version=str(version.number), state=UNAVAILABLE if reason else READY, reason=reason
    )


def load(
    registry: Registry, name: str, parameters: Mapping[str, ModelRepositoryParameter], limits: spec.Limits
) -> None:
    """Take a network into service, or register what comes with the request. This waits for the store.

    Raises:
        InvalidFieldError: A parameter is not known or not of its kind.
        ExampleFailedError: The network's own examples do not hold.
        InvalidNetworkError: The file is no valid network.
        NotFoundError: There is no such network, and no file.
    """
    files = {}
    for key, value in parameters.items():
        if key.startswith(_FILE):
            files[key] = value.bytes_param
        elif key != _CONFIG:
            raise _wrong(f"parameters[{key!r}]", f"the parameter '{key}' is not supported; '{_CONFIG}' and 'file:' are")
    if _CONFIG in parameters:
        _check_config(parameters[_CONFIG].string_param, name)
    if len(files) > 1:
        raise _wrong("parameters", f"{len(files)} files were sent; a network is a single file, of JSON or safetensors")
    for key, content in files.items():
        try:
            registry.register(name, _read(key, content, limits))
        except (ExampleFailedError, InvalidNetworkError) as error:
            # The protocol's clients show the sentence only, not the details with every fault.
            first = "; ".join(map(str, error.faults[:_MAX_TOLD]))
            error.message = f"failed to load '{name}': {error.message}: {first}"
            raise
    _set_in_service(registry, name, "load", in_service=True)


def unload(registry: Registry, name: str, parameters: Mapping[str, ModelRepositoryParameter]) -> None:
    """Take a network out of service. This waits for the store.

    Raises:
        InvalidFieldError: A parameter is not known.
        NotFoundError: There is no such network.
    """
    for key in parameters:
        if key != _UNLOAD_DEPENDENTS:  # nothing depends on a network
            raise _wrong(f"parameters[{key!r}]", f"the parameter '{key}' is not supported")
    _set_in_service(registry, name, "unload", in_service=False)


def _set_in_service(registry: Registry, name: str, what: str, *, in_service: bool) -> None:
    try:
        registry.set_in_service(name, in_service=in_service)
    except NotFoundError as error:
        error.message = f"failed to {what} '{name}': {error.message}"
        raise


def _check_config(text: str, name: str) -> None:
    """Accept a configuration that could be this network's: everything in it follows from the network."""
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise _wrong("parameters['config']", "the parameter 'config' is not a JSON object")
    if config.get("name", name) != name:
        raise _wrong("parameters['config']", f"the configuration is of '{config['name']}', not of '{name}'")


def _read(key: str, content: bytes, limits: spec.Limits) -> spec.NetworkSpec:
    path = key.removeprefix(_FILE)
    if path.endswith(".safetensors"):
        return spec.from_safetensors(content, limits=limits)
    if path.endswith(".json"):
        return spec.from_json(content, limits=limits)
    raise _wrong(
        f"parameters[{key!r}]", f"'{path}' is not a network's file; its name must end in .json or .safetensors"
    )


def _wrong(path: str, message: str) -> InvalidFieldError:
    return InvalidFieldError(message, faults=[Fault(path=path, message=message)])
