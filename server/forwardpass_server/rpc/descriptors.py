"""The descriptor set of the API, for proxies that transcode it to JSON: every proto file with all its imports."""

from typing import TYPE_CHECKING

from forwardpass.v1 import network_service_pb2, prediction_service_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

if TYPE_CHECKING:
    from google.protobuf.descriptor import FileDescriptor


def descriptor_set() -> bytes:
    """Serialize a `google.protobuf.FileDescriptorSet` of the API, as protoc's `--descriptor_set_out` writes it."""
    files: dict[str, FileDescriptor] = {}

    def add(file: "FileDescriptor") -> None:
        for imported in file.dependencies:
            add(imported)
        files[file.name] = file

    for module in (network_service_pb2, prediction_service_pb2):
        add(module.DESCRIPTOR)
    described = FileDescriptorSet()
    for file in files.values():
        file.CopyToProto(described.file.add())
    return described.SerializeToString(deterministic=True)
