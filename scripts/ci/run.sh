#!/bin/sh
# The service's entry point. `exec`: SIGTERM must reach the service itself, or no drain happens.
set -eu
exec agent-executor serve "$@"
