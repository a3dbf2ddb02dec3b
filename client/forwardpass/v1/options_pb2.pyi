from google.protobuf import descriptor_pb2 as _descriptor_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class Scope(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SCOPE_UNSPECIFIED: _ClassVar[Scope]
    SCOPE_OPEN: _ClassVar[Scope]
    SCOPE_PREDICT: _ClassVar[Scope]
    SCOPE_TRACE: _ClassVar[Scope]
    SCOPE_READ: _ClassVar[Scope]
    SCOPE_WRITE: _ClassVar[Scope]
SCOPE_UNSPECIFIED: Scope
SCOPE_OPEN: Scope
SCOPE_PREDICT: Scope
SCOPE_TRACE: Scope
SCOPE_READ: Scope
SCOPE_WRITE: Scope
SCOPE_FIELD_NUMBER: _ClassVar[int]
scope: _descriptor.FieldDescriptor
