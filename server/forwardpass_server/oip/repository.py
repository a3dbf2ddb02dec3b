"""The protocol's model repository: taking models into and out of service, and registering them from files.

There is one repository, the registry. A load with a file registers its content as the next version; any other load
takes all versions of a network into service.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from forwardpass import spec
from forwardpass.errors import ExampleFailedError, Fault, ForwardpassError, InvalidFieldError, InvalidNetworkError

from forwardpass_server.oip.model_metadata import PLATFORM
from forwardpass_server.oip.v2.inference_pb2 import ModelRepositoryParameter, RepositoryIndexResponse
from forwardpass_server.registry import Registry, VersionState

READY: Final = "READY"
UNAVAILABLE: Final = "UNAVAILABLE"

_CONFIG: Final = "config"
_FILE: Final = "file:"
_UNLOAD_DEPENDENTS: Final = "unload_dependents"

_MAX_TOLD: Final = 3
"""Faults that the sentence of an error tells."""


def check_repository(name: str) -> None:
    """Check that a request is for the only repository, which has no name.

    Raises:
        InvalidFieldError: The request names a repository.
    """
    if name:
        raise _wrong("repository_name", f"there is no repository '{name}'; leave repository_name empty")


def index(registry: Registry, *, ready: bool, wanted: Callable[[str], bool] | None = None) -> RepositoryIndexResponse:
    """List every version, or only those that are ready, of all networks or of those with a wanted name."""
    entries = (_entry(registry, version) for version in registry.snapshot.versions(wanted))
    return RepositoryIndexResponse(models=(entry for entry in entries if entry.state == READY or not ready))


def _entry(registry: Registry, version: VersionState) -> RepositoryIndexResponse.ModelIndex:
    reason = "" if version.in_service else "unloaded"
    if registry.is_damaged(version):
        reason = "its stored content is damaged"
    return RepositoryIndexResponse.ModelIndex(
        name=version.network, version=str(version.number), state=UNAVAILABLE if reason else READY, reason=reason
    )


def load(
    registry: Registry,
    name: str,
    parameters: Mapping[str, ModelRepositoryParameter],
    limits: spec.Limits,
    max_batch_size: int,
) -> None:
    """Load a network, or register the file of the request. This waits for the store.

    Args:
        registry: The networks.
        name: The network's name.
        parameters: The parameters of the request: at most one file, and a configuration that changes nothing.
        limits: How large a spec may be.
        max_batch_size: The `max_batch_size` in the configuration of every network.

    Raises:
        InvalidFieldError: A parameter is unknown or of the wrong type, or the configuration would change something.
        ExampleFailedError: The network's own examples do not hold.
        InvalidNetworkError: The file has no valid network.
        NotFoundError: There is no such network, and no file.
    """
    with _error_prefix(f"failed to load '{name}'"):
        files = {}
        for key, value in parameters.items():
            if key.startswith(_FILE):
                files[key] = value.bytes_param
            elif key != _CONFIG:
                raise _wrong(f"parameters[{key!r}]", f"the parameter '{key}' is not known; '{_CONFIG}' and 'file:' are")
        if _CONFIG in parameters:
            _check_config(parameters[_CONFIG].string_param, name, max_batch_size)
        if len(files) > 1:
            raise _wrong("parameters", f"{len(files)} files were sent; a network is one file, of JSON or safetensors")
        for key, content in files.items():
            registry.register(name, _read(key, content, limits))
        registry.set_in_service(name, in_service=True)


def unload(registry: Registry, name: str, parameters: Mapping[str, ModelRepositoryParameter]) -> None:
    """Unload a network. This waits for the store.

    Raises:
        InvalidFieldError: A parameter is unknown.
        NotFoundError: There is no such network.
    """
    with _error_prefix(f"failed to unload '{name}'"):
        for key in parameters:
            if key != _UNLOAD_DEPENDENTS:  # nothing depends on a network
                raise _wrong(f"parameters[{key!r}]", f"the parameter '{key}' is not known")
        registry.set_in_service(name, in_service=False)


@contextmanager
def _error_prefix(what: str) -> Iterator[None]:
    """Begin the sentence of each error with words that Triton's clients look for.

    Those clients show no details of an error, so that the first faults are added to its sentence.
    """
    try:
        yield
    except (ExampleFailedError, InvalidNetworkError) as error:
        first = "; ".join(map(str, error.faults[:_MAX_TOLD]))
        error.message = f"{what}: {error.message}: {first}"
        raise
    except ForwardpassError as error:
        error.message = f"{what}: {error.message}"
        raise


def _check_config(text: str, name: str, max_batch_size: int) -> None:
    """Reject a configuration that would change anything, since it follows from the network and the server's settings.

    Raises:
        InvalidFieldError: It is no JSON object, or differs from the configuration that the server reports.
    """
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        config = None
    if not isinstance(config, dict):
        raise _wrong("parameters['config']", "the parameter 'config' is not a JSON object")
    facts = {
        "name": name,
        "platform": PLATFORM,
        "backend": PLATFORM,
        "max_batch_size": max_batch_size,
        "dynamic_batching": {},
    }
    for key, value in config.items():
        if key not in facts:
            known = ", ".join(facts)
            what = f"the configuration has '{key:.40}', which cannot be set; it may have {known}, or be {{}}"
        elif value not in (facts[key], str(facts[key])):
            fact = json.dumps(facts[key]) + (" (setting `max_rows`)" if key == "max_batch_size" else "")
            what = f"the configuration has {key} {json.dumps(value):.60}, which cannot be set; it is {fact}"
        else:
            continue
        raise _wrong(f"parameters['config'].{key:.40}", what)


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
