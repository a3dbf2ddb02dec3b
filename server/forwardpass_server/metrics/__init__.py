"""What a server counts, for Prometheus. Read when it is asked for, so calls pay nothing. Needs the extra `metrics`."""

from forwardpass_server.metrics.collector import ServerCollector
from forwardpass_server.metrics.endpoint import MetricsEndpoint
from forwardpass_server.metrics.families import table

__all__ = ["MetricsEndpoint", "ServerCollector", "table"]
