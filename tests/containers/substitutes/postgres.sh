#!/usr/bin/env bash
# What the official image's entry point does with the same variables, as far as docker-compose.yml uses it.
set -euo pipefail
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    read -ra options <<<"${POSTGRES_INITDB_ARGS:-}"
    initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") "${options[@]}"
    printf 'host all all all scram-sha-256\n' >>"$PGDATA/pg_hba.conf"
    printf 'CREATE DATABASE "%s";\n' "$POSTGRES_USER" | postgres --single -j -D "$PGDATA" postgres
fi
# podman 4 gives a tmpfs over a folder to root alone, whatever its mode should be.
exec postgres -c listen_addresses='*' -c unix_socket_directories=/tmp
