"""The images that the compose files name: ours from its Dockerfile, and substitutes for those that are not here."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.containers import podman

ROOT: Final = Path(__file__).parents[2]
SUBSTITUTES: Final = Path(__file__).parent / "substitutes"
OWN: Final = "localhost/forwardpass:local"
PYTHON: Final = "docker.io/library/python:3.11-slim-bookworm"
LABEL: Final = "forwardpass.substitute"


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """An image of the same name as another's.

    Attributes:
        name: The name.
        dockerfile: What it is built of.
        with_pip: Whether pip runs in it.
    """

    name: str
    dockerfile: str
    with_pip: bool = False


OTHERS: Final = (
    StandIn(name="docker.io/envoyproxy/envoy:v1.40.0", dockerfile="envoy.Dockerfile", with_pip=True),
    StandIn(name="docker.io/library/postgres:17-bookworm", dockerfile="postgres.Dockerfile"),
    StandIn(name="docker.io/prom/prometheus:v3.5.0", dockerfile="prometheus.Dockerfile"),
)


def make_all() -> list[str]:
    """Build ours, and whatever is not here; return the names of those that are substitutes."""
    if not _is_here(PYTHON):
        _make_python()
    for other in OTHERS:
        if not _is_here(other.name):
            podman.build(other.name, SUBSTITUTES / other.dockerfile, SUBSTITUTES, with_pip=other.with_pip)
    podman.build(OWN, ROOT / "server" / "Dockerfile", ROOT, with_pip=True)
    return [name for name in (PYTHON, *(other.name for other in OTHERS)) if _is_stand_in(name)]


def _is_here(name: str) -> bool:
    return podman.attempt("podman", "image", "exists", name).returncode == 0


def _is_stand_in(name: str) -> bool:
    return podman.run("podman", "image", "inspect", name, f'--format={{{{index .Labels "{LABEL}"}}}}') == "yes"


def _make_python() -> None:
    """Make Debian with its own Python; `python3` is its name in both images."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "root"
        packages = "--include=python3,python3-venv,python3-pip,ca-certificates"
        podman.run("debootstrap", "--variant=minbase", packages, "bookworm", folder, *_mirror())
        archive = Path(temporary) / "root.tar"
        podman.run("tar", "--create", f"--directory={folder}", f"--file={archive}", ".")
        podman.run("podman", "import", f"--change=LABEL={LABEL}=yes", archive, PYTHON)


def _mirror() -> list[str]:
    """The mirror that apt has of Debian 12, if it has one."""
    command = ("apt-get", "indextargets", "--format=$(SITE)", "Created-By: Packages", "Codename: bookworm")
    return podman.attempt(*command).stdout.split()[:1]
