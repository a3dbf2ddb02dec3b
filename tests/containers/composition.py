"""The services of a compose file, started by podman-compose in their order.

podman asks for health by systemd's timers, which containers and many machines do not have. So what `depends_on` says is
waited for here: a service's health by its own health check, a job by its end.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import yaml

from tests.containers import podman
from tests.support.server_process import wait_until

ROOT: Final = Path(__file__).parents[2]


class Composition:
    """A compose file as a project of its own; everything of it is gone at the end.

    Attributes:
        services: What the file says of each.
    """

    def __init__(self, file: Path, folder: Path, environment: Mapping[str, str]) -> None:
        self.services: dict[str, Any] = yaml.safe_load(file.read_text())["services"]
        self._project = f"fp-test-{file.stem.replace('.', '-')}"
        self._environment = {**podman.settings(folder), **environment}
        # The file may ask for higher limits than this machine allows to set.
        limited = {
            name: {"ulimits": {"nofile": 4096, "nproc": 4096}}
            for name, service in self.services.items()
            if "ulimits" in service
        }
        files = [file]
        if limited:
            files.append(folder / "override.yml")
            files[-1].write_text(yaml.safe_dump({"services": limited}))
        named = [f"--file={path}" for path in files]
        self._compose = [str(podman.COMPOSE), "--in-pod=false", f"--project-name={self._project}", *named]

    def up(self, *names: str, scale: Mapping[str, int] | None = None) -> None:
        """Start services in this order, each when what it waits for is so."""
        for name in names:
            for other, condition in self.services[name].get("depends_on", {}).items():
                self.wait(other, condition["condition"])
            scaled = [f"--scale={other}={count}" for other, count in (scale or {}).items()]
            self._run("--profile=observability", "up", "--detach", "--no-build", "--no-deps", *scaled, name)

    def wait(self, name: str, condition: str) -> None:
        """Wait until all containers of a service are so."""
        for container in self.containers(name):
            if condition == "service_completed_successfully":
                assert podman.run("podman", "wait", container) == "0", self.log(container)
            else:
                wait_until(lambda container=container: self.is_healthy(container), 120)

    def is_healthy(self, container: str) -> bool:
        """Run a container's health check."""
        return podman.attempt("podman", "healthcheck", "run", container).returncode == 0

    def containers(self, name: str) -> Sequence[str]:
        """The containers of a service that there are."""
        labels = [
            f"--filter=label=com.docker.compose.project={self._project}",
            f"--filter=label=com.docker.compose.service={name}",
        ]
        return podman.run("podman", "ps", "--all", "--format={{.Names}}", *labels).split()

    def execute(self, container: str, *command: str) -> str:
        """Run a program in a container."""
        return podman.run("podman", "exec", container, *command)

    def log(self, container: str) -> str:
        """What a container has written."""
        ended = podman.attempt("podman", "logs", container)
        return ended.stdout + ended.stderr

    def stop(self, container: str) -> int:
        """Stop a container as its service says; return its exit code."""
        podman.run("podman", "stop", container, environment=self._environment)
        return int(podman.run("podman", "wait", container))

    def start(self, container: str) -> None:
        """Start a stopped container again."""
        podman.run("podman", "start", container, environment=self._environment)

    def down(self, *options: str) -> None:
        """Remove the containers, and with `--volumes` what they kept."""
        # Of a service that was scaled, podman-compose knows no more containers than the file says.
        for name in self.services:
            for container in self.containers(name):
                podman.run("podman", "rm", "--force", container, environment=self._environment)
        self._run("--profile=observability", "down", *options)

    def __enter__(self) -> Self:
        self.down("--volumes")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            for name in self.services:
                for container in self.containers(name):
                    print(f"--- {container}\n{self.log(container)[-3000:]}")
        self.down("--volumes")

    def _run(self, *arguments: str) -> None:
        podman.run(*self._compose, *arguments, environment=self._environment, cwd=ROOT)
