"""The HTTP endpoint that Prometheus scrapes: prometheus_client's server, in its own threads."""

from forwardpass.listening import ListenError
from prometheus_client import GCCollector, PlatformCollector, ProcessCollector, start_http_server
from prometheus_client.registry import Collector, CollectorRegistry


class MetricsEndpoint:
    """Serves a collector's metrics, and those of the process, on `HOST:PORT`."""

    def __init__(self, collector: Collector, address: str) -> None:
        self._address = address
        self._registry = CollectorRegistry()
        self._registry.register(collector)
        for of_process in (ProcessCollector, PlatformCollector, GCCollector):
            of_process(registry=self._registry)

    def start(self) -> str:
        """Listen; return the URL with the real port.

        Raises:
            ListenError: The address is in use, or is not of this machine.
        """
        host, _, port = self._address.rpartition(":")
        try:
            self._server, self._thread = start_http_server(int(port), host.strip("[]"), self._registry)
        except OSError as error:
            raise ListenError(f"cannot listen on {self._address}: {error.strerror or error}") from None
        return f"http://{host}:{self._server.server_port}/metrics"

    def stop(self) -> None:
        """Stop listening, without waiting for responses that are being sent."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
