"""The forms in which a spec is read and written: JSON, messages, safetensors, and nodes by name.

`load` and `loads` read a file in either of the two forms of files.
"""

from os import PathLike
from pathlib import Path

from forwardpass.spec.faults import Faults
from forwardpass.spec.forms.json_document import from_json
from forwardpass.spec.forms.safetensors import from_safetensors
from forwardpass.spec.limits import DEFAULT_LIMITS, Limits
from forwardpass.spec.network import NetworkSpec


def load(path: str | PathLike[str], *, limits: Limits = DEFAULT_LIMITS) -> NetworkSpec:
    """Read a spec from a JSON or safetensors file, whose form is detected from its content.

    Raises:
        OSError: The file cannot be read.
        InvalidNetworkError: Its content is not a valid spec; `faults` has every fault.
    """
    file = Path(path)
    size = file.stat().st_size
    if size > limits.max_network_bytes:
        faults = Faults()
        faults.add("file", f"has {size} bytes; at most {limits.max_network_bytes} are allowed")
        raise faults.error()
    return loads(file.read_bytes(), limits=limits)


def loads(content: bytes, *, limits: Limits = DEFAULT_LIMITS) -> NetworkSpec:
    """Read a spec from the bytes of a JSON or safetensors file, whose form is detected.

    Raises:
        InvalidNetworkError: The content is not a valid spec; `faults` has every fault.
    """
    # A safetensors file begins with a length of 8 bytes, of which the upper ones are 0; a JSON text has no such bytes.
    if content[5:8] == b"\0\0\0":
        return from_safetensors(content, limits=limits)
    return from_json(content, limits=limits)
