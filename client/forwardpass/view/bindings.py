"""HTTP bindings of the methods, as the protos declare them by `google.api.http`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from google.api import annotations_pb2
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from forwardpass._transport.methods import SERVICES
from forwardpass.method_options import has_no_side_effects

_PATH: Final = re.compile(r"(/(v1|[a-zA-Z]+|\{[a-z_]+\}))+(:[a-zA-Z]+)?")
"""The paths that are understood: fields in braces are whole segments, and a verb may follow a colon."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Binding:
    """A path of a method.

    Attributes:
        method: The method's name.
        verb: The HTTP method, for example `POST`.
        path: The path; names in braces are fields of the request.
        has_body: Whether the body is the request without the fields of the path. If not, these are in the query.
        request: The class of the method's request.
        only_reads: Whether the method changes nothing.
    """

    method: str
    verb: str
    path: str
    has_body: bool
    request: type[Message] = field(repr=False)
    only_reads: bool


def bindings() -> tuple[Binding, ...]:
    """Return the bindings of all methods, in the order of the protos.

    Raises:
        ValueError: A proto declares a binding of a form that this module does not read.
    """
    return tuple(
        binding for service in SERVICES for method in service.methods for binding in _bindings_of_method(method)
    )


def _bindings_of_method(method: MethodDescriptor) -> Iterator[Binding]:
    options: Any = method.GetOptions()
    rule = options.Extensions[annotations_pb2.http]
    for one in (rule, *rule.additional_bindings):
        verb = one.WhichOneof("pattern")
        if verb is None:
            continue
        path = getattr(one, verb)
        if verb == "custom" or one.body not in {"", "*"} or not _PATH.fullmatch(path):
            raise ValueError(f"{method.full_name} has a binding that is not understood: {one}")
        yield Binding(
            method=method.name,
            verb=verb.upper(),
            path=path,
            has_body=one.body == "*",
            request=GetMessageClass(method.input_type),
            only_reads=has_no_side_effects(method),
        )
