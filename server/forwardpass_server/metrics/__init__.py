"""Metrics for Prometheus, read from the server's own counts at each scrape. Needs the extra `metrics`."""

from forwardpass_server.metrics.collector import ServerCollector
from forwardpass_server.metrics.endpoint import MetricsEndpoint
from forwardpass_server.metrics.families import table

__all__ = ["MetricsEndpoint", "ServerCollector", "table"]
