"""Fields of JSON objects, checked by type, and parameters as JSON and as messages."""

from collections.abc import Mapping
from typing import Any, Final

from forwardpass.errors import Fault, InvalidFieldError, MalformedRequestError

from forwardpass_server.oip.parameters import Owner, is_known
from forwardpass_server.oip.rest.chunked_json import FlatArray, loads, shown
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
        MalformedRequestError: The text is not JSON, or its value is no object.
    """
    try:
        document = loads(text)
    except ValueError as error:
        raise MalformedRequestError(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict):
        raise MalformedRequestError(f"the body is JSON, but {shown(document)}; must be an object")
    return document


def field_value(document: dict[str, Any], name: str, kind: type, path: str = "", *, default: Any = _MISSING) -> Any:
    """Return the value of a field of a JSON object.

    Args:
        document: The object.
        name: The field's name.
        kind: The Python type that the value must have.
        path: The object's path in the request, for the error.
        default: The value if the field is absent or null; without it the field is required.

    Raises:
        InvalidFieldError: The field is absent, or its value has another type.
    """
    value: Any = document.get(name)
    place = path_of(path, name)
    if value is None:
        if default is _MISSING:
            raise field_error(place, f"is missing; must be {_KINDS[kind]}")
        return default
    if type(value) is not kind:
        raise field_error(place, f"is {shown(value)}; must be {_KINDS[kind]}")
    if isinstance(value, str):
        check_text(value, place)
    return value


def objects(document: dict[str, Any], name: str, path: str = "", *, default: Any = _MISSING) -> list[Any]:
    """Return the value of a field that is an array of objects; the arguments are those of `field_value`.

    Raises:
        InvalidFieldError: The field is absent or no array, or an element is no object.
    """
    array: list[Any] = field_value(document, name, list, path, default=default)
    for index, element in enumerate(array):
        if not isinstance(element, dict):
            raise field_error(f"{path_of(path, name)}[{index}]", f"is {shown(element)}; must be an object")
    return array


def parameters(document: dict[str, Any], path: str = "") -> dict[str, Any]:
    """Return a copy of an object's field `parameters`, or an empty object."""
    return {**field_value(document, "parameters", dict, path, default={})}


def set_parameters(target: Any, given: dict[str, Any], owner: Owner, path: str = "") -> None:
    """Set parameters in a message's map of `InferParameter`.

    Objects, arrays and null, which the message cannot hold and MLServer's clients send as `headers`, are left out
    unless the server knows the parameter.

    Raises:
        InvalidFieldError: A value is neither true, false, a number nor a string, or is an integer of more than 64 bits.
    """
    for name, value in given.items():
        if isinstance(value, dict | list | FlatArray | None) and not is_known(name, owner):
            continue
        place = path_of(path, f"parameters.{name:.40}")
        check_text(name, path_of(path, "parameters"))
        if isinstance(value, bool):
            target[name].bool_param = value
        elif isinstance(value, int):
            if not -(2**63) <= value < 2**64:
                raise field_error(place, f"is {shown(value)}; must be an integer of 64 bits")
            setattr(target[name], "int64_param" if value < 2**63 else "uint64_param", value)
        elif isinstance(value, float):
            target[name].double_param = value
        elif isinstance(value, str):
            target[name].string_param = check_text(value, place)
        else:
            raise field_error(place, f"is {shown(value)}; must be true, false, a number or a string")


def parameters_to_dict(given: Mapping[str, InferParameter]) -> dict[str, Any]:
    """Return a message's parameters as JSON values."""
    return {
        name: getattr(value, value.WhichOneof("parameter_choice") or "string_param") for name, value in given.items()
    }


def check_text(value: str, path: str) -> str:
    """Return a text that UTF-8 can encode.

    Raises:
        InvalidFieldError: The text has a lone surrogate, which JSON can escape.
    """
    try:
        value.encode()
    except UnicodeEncodeError:
        raise field_error(path, "has half a character (a lone surrogate)") from None
    return value


def path_of(path: str, name: str) -> str:
    """Return the path of a field, given its object's path."""
    return f"{path}.{name}" if path else name


def field_error(path: str, message: str) -> InvalidFieldError:
    """Return the error of the field at a path."""
    return InvalidFieldError(f"{path} {message}", faults=[Fault(path=path, message=message)], field=path)
