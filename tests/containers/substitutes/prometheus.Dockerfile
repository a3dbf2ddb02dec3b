# Stands in for prom/prometheus where no registry is reached: Debian's Prometheus, on the substitute of Python's image.
FROM docker.io/library/python:3.11-slim-bookworm
LABEL forwardpass.substitute="yes"
RUN apt-get update \
    && apt-get install --yes --no-install-recommends prometheus wget \
    && rm --recursive --force /var/lib/apt/lists/* \
    && install --directory --owner nobody --group nogroup /prometheus
ENTRYPOINT ["/usr/bin/prometheus"]
