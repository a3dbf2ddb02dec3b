"""The members of JSON objects, each of the kind that is needed or refused by its place; parameters in both forms."""

from collections.abc import Mapping
from typing import Any, Final

from forwardpass.errors import Fault, InvalidFieldError, MalformedRequestError

from forwardpass_server.oip.parameters import Owner, is_known
from forwardpass_server.oip.rest.pieces import Flat, loads, said
from forwardpass_server.oip.v2.inference_pb2 import InferParameter

_KINDS: Final[dict[type, str]] = {
    bool: "true or false",
    int: "an integer",
    str: "a string",
    list: "an array",
    dict: "an object",
}
_MISSING: Final = object()


def read_object(text: bytes) -> dict[str, Any]:
    """Read a JSON text whose value is an object.

    Raises:
        MalformedRequestError: It is none.
    """
    try:
        document = loads(text)
    except ValueError as error:
        raise MalformedRequestError(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise MalformedRequestError(f"the body is JSON, but {said(document)}; must be an object")
    return document


def member(document: dict[str, Any], name: str, kind: type, path: str = "", *, default: Any = _MISSING) -> Any:
    """Return a member of a JSON object.

    Args:
        document: The object.
        name: The member's name.
        kind: The Python type that its value must have.
        path: The object's place in the request, for the error.
        default: What stands for a member that is absent or null; without it there must be one.

    Raises:
        InvalidFieldError: It is absent or of another kind.
    """
    value: Any = document.get(name)
    place = within(path, name)
    if value is None:
        if default is _MISSING:
            raise refused(place, f"is missing; must be {_KINDS[kind]}")
        return default
    if type(value) is not kind:
        raise refused(place, f"is {said(value)}; must be {_KINDS[kind]}")
    if isinstance(value, str):
        text(value, place)
    return value


def members(document: dict[str, Any], name: str, path: str = "", *, default: Any = _MISSING) -> list[Any]:
    """Return a member that is an array of objects.

    Raises:
        InvalidFieldError: It is absent or of another kind, or has an element that is no object.
    """
    array: list[Any] = member(document, name, list, path, default=default)
    for index, element in enumerate(array):
        if not isinstance(element, dict):
            raise refused(f"{within(path, name)}[{index}]", f"is {said(element)}; must be an object")
    return array


def parameters(document: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Return an object's `parameters`, which may be taken out one by one."""
    return {**member(document, "parameters", dict, path, default={})}


def fill(target: Any, given: dict[str, Any], owner: Owner, path: str = "") -> None:
    """Put parameters into a message's map of `InferParameter`.

    Objects, arrays and null, which the message cannot hold and MLServer's clients send as `headers`, are left out
    unless the parameter is one that the server knows.

    Raises:
        InvalidFieldError: One is neither true, false, a number nor a string, or an integer of more than 64 bits.
    """
    for name, value in given.items():
        if isinstance(value, dict | list | Flat | None) and not is_known(name, owner):
            continue
        place = within(path, f"parameters.{name:.40}")
        text(name, within(path, "parameters"))
        if isinstance(value, bool):
            target[name].bool_param = value
        elif isinstance(value, int):
            if not -(2**63) <= value < 2**64:
                raise refused(place, f"is {said(value)}; must be an integer of 64 bits")
            setattr(target[name], "int64_param" if value < 2**63 else "uint64_param", value)
        elif isinstance(value, float):
            target[name].double_param = value
        elif isinstance(value, str):
            target[name].string_param = text(value, place)
        else:
            raise refused(place, f"is {said(value)}; must be true, false, a number or a string")


def plain_parameters(given: Mapping[str, InferParameter]) -> dict[str, Any]:
    """Return the parameters of a message as JSON has them."""
    return {
        name: getattr(value, value.WhichOneof("parameter_choice") or "string_param") for name, value in given.items()
    }


def text(value: str, path: str) -> str:
    """Let text pass; JSON can escape halves of characters, which UTF-8 does not have.

    Raises:
        InvalidFieldError: There is one.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        raise refused(path, "has half a character (a lone surrogate)") from None
    return value


def within(path: str, name: str) -> str:
    """Return the place of a member, given that of its object."""
    return f"{path}.{name}" if path else name


def refused(path: str, message: str) -> InvalidFieldError:
    """Make the error about one place."""
    return InvalidFieldError(f"{path} {message}", faults=[Fault(path=path, message=message)], field=path)
