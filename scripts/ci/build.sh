#!/bin/sh
# Builds and tags an image: build.sh IMAGE:TAG [further arguments of `docker build`, such as --push]. It is the service's,
# unless they are --target function. Its labels say the version, the commit and, so that two builds of one commit carry
# the same, the commit's own time.
set -eu
[ $# -ge 1 ] || { echo "usage: $0 IMAGE:TAG [docker build arguments]" >&2; exit 64; }
image=$1
shift
cd "$(dirname "$0")/../.."
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
revision=$(git rev-parse HEAD 2>/dev/null || echo unknown)
created=$(TZ=UTC git log -1 --date=iso-strict-local --format=%cd 2>/dev/null | sed 's/+00:00$/Z/')
exec "${DOCKER:-docker}" build --target service --tag "$image" --build-arg "VERSION=$version" \
  --build-arg "REVISION=$revision" --build-arg "CREATED=${created:-1970-01-01T00:00:00Z}" "$@" .
