from typing import Any

import forwardpass
from forwardpass import errors
from forwardpass.errors import ForwardpassError
from forwardpass.reasons import REASONS
from forwardpass.v1.error_reason_pb2 import ErrorReason

PREFIX = "ERROR_REASON_"


def _leaves(kind: type[Any]) -> set[type[Any]]:
    heirs = kind.__subclasses__()
    return set().union(*map(_leaves, heirs)) if heirs else {kind}


def test_every_reason_of_the_wire_has_a_class() -> None:
    names = {name.removeprefix(PREFIX) for name in ErrorReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118 - an enum
    assert set(REASONS) == names


def test_every_leaf_class_has_one_reason() -> None:
    ours = {kind for kind in _leaves(ForwardpassError) if kind.__module__ == errors.__name__}
    assert sorted(map(repr, REASONS.values())) == sorted(map(repr, ours))


def test_a_class_is_named_for_its_reason() -> None:
    for reason, kind in REASONS.items():
        words = "".join(word.capitalize() for word in reason.split("_"))
        assert kind.__name__ == f"{words}Error"


def test_every_class_is_public() -> None:
    public = {value for value in vars(errors).values() if isinstance(value, type)}
    missing = {kind.__name__ for kind in public if kind.__module__ == errors.__name__} - set(forwardpass.__all__)
    assert not missing
