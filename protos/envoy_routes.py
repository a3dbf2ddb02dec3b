"""Write the paths of deploy/envoy.yaml: which route a method takes follows from its options in the protos.

    python envoy_routes.py DESCRIPTORS < envoy.yaml

`generate.py` calls this in the generator's environment, which has protobuf. DESCRIPTORS is the FileDescriptorSet of
all protos. The lines between `# generated: WHAT` and `# end` are written anew; all others stay.
"""

import re
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from google.protobuf.descriptor_pb2 import FileDescriptorSet, MethodDescriptorProto, MethodOptions

ROUTES: Final[Mapping[str, tuple[str, str]]] = {
    "stream": ("the first stream", "the other streams"),
    "read": ("the first read", "the other reads"),
    "write": ("the first idempotent write", "the other idempotent writes"),
}
"""The two generated blocks of each route: the first path has the policy behind it, as a YAML anchor."""

BLOCK: Final = re.compile(r"^( *)# generated: (.*)\n(?:.*\n)*?\1# end\n", re.MULTILINE)


def route_of(method: MethodDescriptorProto) -> str | None:
    """Return the route of a method, or None where Envoy may not send a call a second time."""
    if method.client_streaming or method.server_streaming:
        return "stream"  # of a stream, Envoy would have to keep all that was sent
    levels = {MethodOptions.NO_SIDE_EFFECTS: "read", MethodOptions.IDEMPOTENT: "write"}
    return levels.get(method.options.idempotency_level)


def paths_of(descriptors: FileDescriptorSet) -> dict[str, list[str]]:
    """Return the paths of the methods that take each route, in the order of the protos."""
    paths: dict[str, list[str]] = defaultdict(list)
    for file in descriptors.file:
        for service in file.service:
            for method in service.method:
                route = route_of(method)
                if route is not None:
                    paths[route].append(f"/{file.package}.{service.name}/{method.name}")
    return paths


def blocks(paths: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Return the lines of each generated block."""
    written = {}
    for route, (first, others) in ROUTES.items():
        path, *more = paths[route]
        written[first] = [f"- name: {_name(path)}", f"  match: {{path: {path}}}"]
        written[others] = [f"- {{name: {_name(path)}, match: {{path: {path}}}, route: *{route}}}" for path in more]
    return written


def rewritten(text: str, written: Mapping[str, Sequence[str]]) -> str:
    """Return the text with other lines in its blocks.

    Raises:
        ValueError: A block is missing, or there is one that is not known.
    """
    found = [block.group(2) for block in BLOCK.finditer(text)]
    if sorted(found) != sorted(written):
        raise ValueError(f"deploy/envoy.yaml has the generated blocks {found}; must have {sorted(written)}")

    def block(match: re.Match[str]) -> str:
        indent, name = match.groups()
        return "".join(f"{indent}{line}\n" for line in (f"# generated: {name}", *written[name], "# end"))

    return BLOCK.sub(block, text)


def _name(path: str) -> str:
    """Return a route's name for a path: the method in snake_case."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", path.rpartition("/")[2]).lower()


if __name__ == "__main__":
    descriptors = FileDescriptorSet.FromString(Path(sys.argv[1]).read_bytes())
    sys.stdout.write(rewritten(sys.stdin.read(), blocks(paths_of(descriptors))))
