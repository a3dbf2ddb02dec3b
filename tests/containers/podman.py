"""Images and containers by podman and buildah, as a machine without a container engine of its own can have them.

That takes root, and Debian's packages podman, buildah, runc, netavark, aardvark-dns, iptables and debootstrap.
"""

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PROGRAMS: Final = ("podman", "buildah", "runc", "iptables", "debootstrap")
COMPOSE: Final = Path(__file__).parents[2] / ".venv" / "bin" / "podman-compose"

# What pip needs of this machine to reach its index; nothing where the machine has none of it.
OF_PIP: Final = {
    Path("/etc/ssl/certs"): "/etc/ssl/certs",
    Path("/usr/share/ca-certificates"): "/usr/share/ca-certificates",
    Path("/usr/local/share/ca-certificates"): "/usr/local/share/ca-certificates",
    Path.home() / ".config" / "pip" / "pip.conf": "/etc/pip.conf",
    Path("/etc/hosts"): "/etc/hosts",
}


def obstacle() -> str | None:
    """Return why containers cannot run here, if so."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        packages = "podman buildah runc netavark aardvark-dns iptables debootstrap"
        return f"{', '.join(missing)} not installed (apt install {packages})"
    if os.geteuid() != 0:
        return "needs root: networks of containers, and images made by debootstrap"
    return None


def settings(folder: Path) -> dict[str, str]:
    """Return the environment for podman: runc, and limits that small machines allow to set too."""
    path = folder / "containers.conf"
    path.write_text(
        '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n[engine]\nruntime = "runc"\n'
    )
    return {"CONTAINERS_CONF": str(path)}


def attempt(
    *command: str | Path, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end."""
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
        env={**os.environ, **(environment or {})},
        cwd=cwd,
    )


def run(*command: str | Path, environment: Mapping[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a program to its good end; return what it printed, stripped."""
    ended = attempt(*command, environment=environment, cwd=cwd)
    assert ended.returncode == 0, f"{' '.join(map(str, command))}\n{ended.stdout[-4000:]}\n{ended.stderr[-4000:]}"
    return ended.stdout.strip()


def build(tag: str, dockerfile: Path, context: Path, *, with_pip: bool) -> None:
    """Build an image of an unmodified Dockerfile; `with_pip` gives it this machine's way to the package index."""
    shared = [f"--volume={source}:{target}:ro" for source, target in OF_PIP.items() if source.exists()]
    command = ["buildah", "bud", "--format=docker", "--layers", "--isolation=chroot", "--network=host"]
    run(*command, *(shared if with_pip else []), f"--tag={tag}", f"--file={dockerfile}", context)
