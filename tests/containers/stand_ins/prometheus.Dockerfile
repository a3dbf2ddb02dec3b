# Stands in for prom/prometheus where no registry is reached: Debian's Prometheus, on the stand-in of Python's image.
FROM docker.io/library/python:3.11-slim-bookworm
LABEL forwardpass.stand-in="yes"
RUN apt-get update \
    && apt-get install --yes --no-install-recommends prometheus wget \
    && rm --recursive --force /var/lib/apt/lists/* \
    && install --directory --owner nobody --group nogroup /prometheus
ENTRYPOINT ["/usr/bin/prometheus"]
