"""MkDocs hook: writes the reference pages that follow from the code.

`reference/python.md` has every public name of the client, `reference/protos.md` every service, message and enum, and
`reference/commands.md` the help of every command.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import forwardpass
from forwardpass import compare, exporters, importers, render, spec
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
    ServiceDescriptorProto,
)
from mkdocs.structure.files import File

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

ROOT: Final = Path(__file__).resolve().parents[2]
MODULES: Final = (forwardpass, spec, importers, exporters, compare, render)
PACKAGE: Final = "forwardpass.v1"


def on_files(files: "Files", config: "MkDocsConfig") -> "Files":
    """Add the pages."""
    pages = {"python": python_page(), "protos": protos_page(), "commands": commands_page()}
    for name, text in pages.items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def python_page() -> str:
    """Return the page with every public name, by module, clients first and exceptions last."""
    lines = [
        "# Python API",
        "",
        "All public names. A name that begins with an underscore may change at any time.",
        "",
    ]
    for module in MODULES:
        lines += [f"## {module.__name__}", "", (module.__doc__ or "").strip(), ""]
        names = sorted(module.__all__, key=lambda name: (_rank(getattr(module, name)), name))
        for name in names:
            lines += [f"::: {module.__name__}.{name}", ""]
    return "\n".join(lines)


def _rank(value: object) -> int:
    if isinstance(value, type) and issubclass(value, BaseException):
        return 2
    return 0 if getattr(value, "__name__", "").endswith("Client") else 1


def protos_page() -> str:
    """Return the page with every service, message and enum of `forwardpass.v1`."""
    lines = [
        "# gRPC API",
        "",
        f"The package `{PACKAGE}`. The [Open Inference Protocol](open-inference.md) has its own page.",
        "",
    ]
    for file in _descriptors():
        comments = {tuple(each.path): each.leading_comments.strip() for each in file.source_code_info.location}
        lines += [f"## {file.name.rsplit('/', 1)[-1]}", ""]
        for place, service in enumerate(file.service):
            lines += _service(service, (6, place), comments)
        for place, message in enumerate(file.message_type):
            lines += _message(message, message.name, (4, place), comments)
        for place, enum in enumerate(file.enum_type):
            lines += _enum(enum, enum.name, (5, place), comments)
    return "\n".join(lines)


Comments = Mapping[tuple[int, ...], str]
"""A comment for each path of a descriptor; the numbers are those of descriptor.proto."""


def _descriptors() -> Iterator[FileDescriptorProto]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "protos.binpb"
        command = [sys.executable, str(ROOT / "protos" / "generate.py"), "--descriptors", str(path)]
        subprocess.run(command, check=True)
        found = FileDescriptorSet.FromString(path.read_bytes())
    files = [file for file in found.file if file.package == PACKAGE]
    yield from sorted(files, key=lambda file: (not file.service, file.name))


def _service(service: ServiceDescriptorProto, path: tuple[int, ...], comments: Comments) -> Iterator[str]:
    yield from (f"### {service.name}", "", comments.get(path, ""), "")
    yield from ("| method | request | response | what it does |", "|---|---|---|---|")
    for place, method in enumerate(service.method):
        request = ("stream of " if method.client_streaming else "") + _reference(method.input_type)
        response = ("stream of " if method.server_streaming else "") + _reference(method.output_type)
        yield f"| `{method.name}` | {request} | {response} | {_cell(comments.get((*path, 2, place), ''))} |"
    yield ""


def _message(message: DescriptorProto, name: str, path: tuple[int, ...], comments: Comments) -> Iterator[str]:
    if message.options.map_entry:
        return
    yield from (f"### {name}", "", comments.get(path, ""), "")
    if message.field:
        yield from ("| field | number | type | meaning |", "|---|---|---|---|")
        for place, field in enumerate(message.field):
            meaning = _cell(comments.get((*path, 2, place), ""))
            yield f"| `{field.name}` | {field.number} | {_type(field, message)} | {meaning} |"
        yield ""
    for place, nested in enumerate(message.nested_type):
        yield from _message(nested, f"{name}.{nested.name}", (*path, 3, place), comments)
    for place, enum in enumerate(message.enum_type):
        yield from _enum(enum, f"{name}.{enum.name}", (*path, 4, place), comments)


def _enum(enum: EnumDescriptorProto, name: str, path: tuple[int, ...], comments: Comments) -> Iterator[str]:
    yield from (f"### {name}", "", comments.get(path, ""), "")
    yield from ("| value | number | meaning |", "|---|---|---|")
    for place, value in enumerate(enum.value):
        yield f"| `{value.name}` | {value.number} | {_cell(comments.get((*path, 2, place), ''))} |"
    yield ""


def _type(field: FieldDescriptorProto, message: DescriptorProto) -> str:
    entry = next(
        (each for each in message.nested_type if field.type_name.endswith(f".{message.name}.{each.name}")), None
    )
    if entry is not None and entry.options.map_entry:
        key, value = (_type(each, entry) for each in entry.field)
        return f"map of {key} to {value}"
    kind = _reference(field.type_name) if field.type_name else FieldDescriptorProto.Type.Name(field.type)[5:].lower()
    return f"repeated {kind}" if field.label == FieldDescriptorProto.LABEL_REPEATED else kind


def _reference(name: str) -> str:
    own = name.removeprefix(f".{PACKAGE}.")
    return f"`{name.removeprefix('.')}`" if own == name else f"[`{own}`](#{own.lower().replace('.', '')})"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def commands_page() -> str:
    """Return the page with the help of every command of both programs."""
    lines = [
        "# Every command's help",
        "",
        "What `--help` prints. [The command line](cli.md) explains the commands.",
        "",
    ]
    for program, commands in _programs().items():
        lines += [f"## {program}", ""]
        for command in commands:
            words = [program, *command]
            lines += (
                [f"### {' '.join(words)}", "", "```text", _help(words), "```", ""]
                if command
                else ["```text", _help(words), "```", ""]
            )
    return "\n".join(lines)


def _programs() -> dict[str, list[list[str]]]:
    import typer.main  # noqa: PLC0415
    from forwardpass.cli.app import app  # noqa: PLC0415
    from forwardpass_server.cli import _COMMANDS as COMMANDS  # noqa: PLC0415

    def walk(command: object, words: list[str]) -> Iterator[list[str]]:
        yield words
        for name, child in getattr(command, "commands", {}).items():
            yield from walk(child, [*words, name])

    return {
        "forwardpass": [*walk(typer.main.get_command(app), [])],
        "forwardpass-server": [[], *([name] for name in COMMANDS)],
    }


def _help(words: list[str]) -> str:
    modules = {"forwardpass": "forwardpass.cli", "forwardpass-server": "forwardpass_server.cli"}
    code = f"from {modules[words[0]]} import main; main()"
    environment = {**os.environ, "COLUMNS": "100", "TERM": "dumb", "NO_COLOR": "1"}
    command = [sys.executable, "-c", code, *words[1:], "--help"]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return "\n".join(line.rstrip() for line in ran.stdout.strip().splitlines()).replace("-c ", f"{words[0]} ")
