#!/bin/sh
# Builds the service's image: build.sh IMAGE:TAG [further arguments of `docker build`, such as --push].
set -eu
[ $# -ge 1 ] || { echo "usage: $0 IMAGE:TAG [docker build arguments]" >&2; exit 64; }
image=$1
shift
cd "$(dirname "$0")/../.."
exec "${DOCKER:-docker}" build --target service --tag "$image" "$@" .
