#!/bin/sh
# The init container: brings the schema of POSTGRES_SCHEMA up to date, and is done at once when it is already.
# Needs POSTGRES_HOST, POSTGRES_DB, POSTGRES_USER and POSTGRES_PASSWORD; POSTGRES_PORT is 5432 and POSTGRES_SCHEMA
# agent_executor unless set. Neither psql nor kubectl: the image has Python.
set -eu
python=$(command -v python || command -v python3) || { echo "run-migrations.sh: no python on PATH" >&2; exit 127; }
exec "$python" -m agent_executor.services.migrations
