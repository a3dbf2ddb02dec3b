"""Fields that several requests have, checked before they are sent."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

from forwardpass.errors import Fault, InvalidFieldError

Name = TypeVar("Name", bound=str)
Value = TypeVar("Value")


def text(value: str, name: str) -> str:
    """Return a text as it is.

    Raises:
        InvalidFieldError: The value is no text.
    """
    if not isinstance(value, str):
        raise invalid(name, f"is a {type(value).__name__}; must be a text")
    return value


def as_names(names: str | Iterable[str]) -> str | Sequence[str]:
    """Return names that can be read more than once."""
    return names if isinstance(names, str) else [*names]


def number(value: float, name: str) -> float:
    """Return a number as it is.

    Raises:
        InvalidFieldError: The value is no number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid(name, f"is {value!r}; must be a number")
    return value


def expected_version(version: int | None) -> int | None:
    """Return the number of an expected version, or None.

    Raises:
        InvalidFieldError: The value is neither.
    """
    if version is None or type(version) is int:
        return version
    raise invalid("expected", f"is {version!r}; must be a version's number, or None")


def class_count(top_k: int) -> int:
    """Return how many classes a request wants for each row.

    Raises:
        InvalidFieldError: The value is no such number.
    """
    if type(top_k) is not int or not 0 <= top_k < 2**31:
        raise invalid("top_k", f"is {top_k!r}; must be a number of classes, or 0")
    return top_k


def optional_integer(value: int | None, name: str) -> int | None:
    """Return an integer of 64 bits, or None.

    Raises:
        InvalidFieldError: The value is neither.
    """
    if value is None or (type(value) is int and -(2**63) <= value < 2**63):
        return value
    raise invalid(name, f"is {value!r}; must be a whole number of 64 bits, or None")


def choice(name: str, field: str, values: Mapping[Name, Value]) -> Value:
    """Return the value of an enum by its name.

    Raises:
        InvalidFieldError: The enum has no such name.
    """
    try:
        return values[name]  # type: ignore[index] # a name that is not there is what is tested
    except (KeyError, TypeError):
        raise invalid(field, f"is {name!r}; must be one of {', '.join(map(str, values))}") from None


def version_reference(version: str | int) -> str:
    """Return a version's number or alias as the messages have it.

    Raises:
        InvalidFieldError: The value is neither a number nor a text.
    """
    if type(version) is str:
        return version
    if isinstance(version, bool) or not isinstance(version, str | int):
        raise invalid("version", f"is {version!r}; must be a version's number, an alias, or nothing for latest")
    return str(version)


def invalid(name: str, message: str) -> InvalidFieldError:
    """Build the error of a field."""
    return InvalidFieldError(f"{name} {message}", faults=[Fault(path=name, message=message)], field=name)
