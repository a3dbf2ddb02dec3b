"""The parameters of requests, of their inputs and of their outputs: which have an effect, and which are rejected.

Triton, KServe and MLServer pass a parameter that they do not know to the code of a model, and their clients always
send some. A network has no code, so such a parameter changes no response and is accepted. A parameter is rejected if it
asks for something that this server does not do, or if its name is nearly that of a parameter with an effect.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from forwardpass.errors import Fault, InvalidFieldError

if TYPE_CHECKING:
    from forwardpass_server.oip.v2.inference_pb2 import InferParameter

Owner: TypeAlias = Literal["request", "input", "output"]

EXPLAIN: Final = frozenset(
    f"explain_{field}"
    for field in ("method", "outputs", "baseline", "scale", "tolerance", "max_steps", "samples", "seed")
)
"""Parameters of the output `attributions`, each named after the field of an `ExplainRequest` that it stands for."""

EFFECTIVE: Final[Mapping[Owner, frozenset[str]]] = {
    "request": frozenset({"binary_data_output", "timeout"}) | EXPLAIN,
    "input": frozenset({"binary_data_size"}),
    "output": frozenset({"binary_data", "binary_data_output", "classification"}),
}
"""Parameters that have an effect; all but `classification` and `EXPLAIN` have it over HTTP only."""

SEQUENCE: Final = frozenset({"sequence_end", "sequence_id", "sequence_start"})
SHARED_MEMORY: Final = frozenset({"shared_memory_byte_size", "shared_memory_offset", "shared_memory_region"})

_WHY: Final = {
    **dict.fromkeys(SEQUENCE, "asks for a sequence; networks here keep no state"),
    **dict.fromkeys(SHARED_MEMORY, "asks for shared memory, which there is not here; send the contents"),
}
_REJECTED: Final[Mapping[Owner, frozenset[str]]] = {
    "request": SEQUENCE,
    "input": SHARED_MEMORY,
    "output": SHARED_MEMORY,
}
_SIMILAR: Final = 0.8
"""From here on two names are so similar, by difflib's ratio, that one may be the other misspelt."""


def is_known(name: str, owner: Owner) -> bool:
    """Return whether a parameter has an effect or may be rejected by its name."""
    return name in EFFECTIVE[owner] or name in _REJECTED[owner]


def check_parameters(parameters: "Mapping[str, InferParameter]", owner: Owner, path: str = "", of: str = "") -> None:
    """Reject parameters that ask for what the server does not do, or are nearly one that has an effect.

    Args:
        parameters: The parameters.
        owner: What has them.
        path: Its place in the request, if it is not the request itself.
        of: What to call it in the error, if it is not the request itself.

    Raises:
        InvalidFieldError: There is such a parameter.
    """
    for name, value in parameters.items():
        if name in _REJECTED[owner]:
            # False, 0 and empty are how a client says that it does not ask for a sequence.
            if value.WhichOneof("parameter_choice") is None or not _value(value):
                continue
            why = _WHY[name]
        elif name in EFFECTIVE[owner] or not (near := get_close_matches(name, EFFECTIVE[owner], 1, _SIMILAR)):
            continue
        else:
            why = f"is not known; '{near[0]}' is"
        message = f"{of}{': ' if of else ''}the parameter '{name}' {why}"
        place = f"{path}.parameters" if path else "parameters"
        raise InvalidFieldError(message, faults=[Fault(path=f"{place}[{name!r}]", message=message)])


def _value(parameter: "InferParameter") -> object:
    return getattr(parameter, parameter.WhichOneof("parameter_choice") or "string_param")
