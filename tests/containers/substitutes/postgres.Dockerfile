# Stands in for postgres:17-bookworm where no registry is reached: Debian's PostgreSQL, on the substitute of Python's image.
FROM docker.io/library/python:3.11-slim-bookworm
LABEL forwardpass.substitute="yes"
RUN groupadd --gid 999 postgres \
    && useradd --uid 999 --gid postgres --home-dir /var/lib/postgresql postgres \
    && apt-get update \
    && apt-get install --yes --no-install-recommends postgresql \
    && rm --recursive --force /var/lib/apt/lists/* /var/lib/postgresql/* \
    && install --directory --owner postgres --group postgres --mode 700 /var/lib/postgresql/data
COPY postgres.sh /usr/local/bin/postgres.sh
ENV PATH=/usr/lib/postgresql/15/bin:$PATH PGDATA=/var/lib/postgresql/data
STOPSIGNAL SIGINT
ENTRYPOINT ["bash", "/usr/local/bin/postgres.sh"]
