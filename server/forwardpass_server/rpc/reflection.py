"""gRPC server reflection, v1 and v1alpha: the services, methods and messages of this server, for tools like grpcurl.

grpcio-reflection offers v1alpha only (https://github.com/grpc/grpc/issues/38576) and does not find methods, fields
and oneofs by their names (https://github.com/grpc/grpc/issues/34743). Only its descriptors are used here. The two
versions differ in the name of their package alone, so one servicer serves both.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Final

import grpc
from google.protobuf import descriptor_pool, text_format
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha import reflection_pb2

from forwardpass_server.rpc.context import RpcContext
from forwardpass_server.rpc.methods import Service

_POOL: Final = descriptor_pool.Default()


def _v1_pool() -> descriptor_pool.DescriptorPool:
    """Return a pool with the descriptors of v1, which are those of v1alpha under another name."""
    alpha = FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(alpha)
    text = text_format.MessageToString(alpha).replace("v1alpha", "v1")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(text_format.Parse(text, FileDescriptorProto()))
    return pool


def reflection_services(services: Iterable[str]) -> list[Service]:
    """Return the reflection services of a server, given the full names of its other services."""
    alpha: Any = reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"]
    pool = _v1_pool()
    v1: Any = pool.FindServiceByName(alpha.full_name.replace("v1alpha", "v1"))
    names = sorted({*services, alpha.full_name, v1.full_name})
    pools = (_POOL, pool)
    return [Service(descriptor, ServerReflection(descriptor, names, pools)) for descriptor in (v1, alpha)]


class ServerReflection:
    """The servicer of one version of server reflection.

    What a request names is looked up in several descriptor pools, the first one that has it wins.
    """

    def __init__(
        self, version: ServiceDescriptor, services: Iterable[str], pools: Iterable[descriptor_pool.DescriptorPool]
    ) -> None:
        self._response = GetMessageClass(version.methods_by_name["ServerReflectionInfo"].output_type)
        self._services = [*services]
        self._pools = [*pools]
        self._lookups: Mapping[str, Callable[[Any], dict[str, Any]]] = {
            "list_services": self._list_services,
            "file_by_filename": lambda name: self._files(lambda pool: pool.FindFileByName(name)),
            "file_containing_symbol": lambda name: self._files(lambda pool: _file_of_symbol(pool, name)),
            "file_containing_extension": lambda request: self._files(lambda pool: _file_of_extension(pool, request)),
            "all_extension_numbers_of_type": self._extension_numbers,
        }

    async def server_reflection_info(self, requests: AsyncIterator[Any], _: RpcContext) -> AsyncIterator[Any]:
        """Respond to each request in turn; an unknown name is an `error_response`, and the stream goes on."""
        async for request in requests:
            kind = request.WhichOneof("message_request")
            if kind is None:
                found = _error(grpc.StatusCode.INVALID_ARGUMENT, "the request is empty; set one of its fields")
            else:
                value = getattr(request, kind)
                try:
                    found = self._lookups[kind](value)
                except KeyError:
                    message = f"{kind}: the server has no {str(value).strip()!r}"
                    found = _error(grpc.StatusCode.NOT_FOUND, message)
            yield self._response(valid_host=request.host, original_request=request, **found)

    def _list_services(self, _: str) -> dict[str, Any]:
        return {"list_services_response": {"service": [{"name": name} for name in self._services]}}

    def _files(self, find: Callable[[descriptor_pool.DescriptorPool], Any]) -> dict[str, Any]:
        """Return a file with all files that it imports, so that a tool needs no further request."""
        files: dict[str, bytes] = {}
        pending = [self._find(find)]
        while pending:
            file = pending.pop()
            if file.name not in files:
                files[file.name] = file.serialized_pb
                pending += file.dependencies
        return {"file_descriptor_response": {"file_descriptor_proto": list(files.values())}}

    def _extension_numbers(self, name: str) -> dict[str, Any]:
        def numbers(pool: descriptor_pool.DescriptorPool) -> list[int]:
            return sorted(field.number for field in pool.FindAllExtensions(pool.FindMessageTypeByName(name)))

        found = self._find(numbers)
        return {"all_extension_numbers_response": {"base_type_name": name, "extension_number": found}}

    def _find(self, find: Callable[[descriptor_pool.DescriptorPool], Any]) -> Any:
        for pool in self._pools[:-1]:
            try:
                return find(pool)
            except KeyError:
                continue
        return find(self._pools[-1])


def _file_of_symbol(pool: descriptor_pool.DescriptorPool, name: str) -> Any:
    """Return the file of a message, enum, service, extension, or of a part of one.

    Raises:
        KeyError: This pool does not contain it.
    """
    try:
        return pool.FindFileContainingSymbol(name)
    except KeyError:
        parent, _, part = name.rpartition(".")
    try:
        whole: Any = pool.FindServiceByName(parent)
        parts = [whole.methods_by_name]
    except KeyError:
        whole = pool.FindMessageTypeByName(parent)
        parts = [whole.fields_by_name, whole.oneofs_by_name, whole.enum_values_by_name]
    if any(part in named for named in parts):
        return whole.file
    raise KeyError(name)


def _file_of_extension(pool: descriptor_pool.DescriptorPool, request: Any) -> Any:
    """Return the file that defines an extension, given its message and its number.

    Raises:
        KeyError: This pool does not contain it.
    """
    message = pool.FindMessageTypeByName(request.containing_type)
    extension: Any = pool.FindExtensionByNumber(message, request.extension_number)
    return extension.file


def _error(code: grpc.StatusCode, message: str) -> dict[str, Any]:
    return {"error_response": {"error_code": code.value[0], "error_message": message}}
