#!/bin/sh
# Builds both images with the Docker engine that DOCKER (docker) talks to: images.sh [further arguments of `docker build`].
# Tags them REGISTRY/agent-executor:vVERSION and REGISTRY/function-agent-executor-runtime:vVERSION (the name without
# -runtime is the package around it); REGISTRY is the project's unless set.
set -eu
cd "$(dirname "$0")/../.."
"${DOCKER:-docker}" version >/dev/null 2>&1 || {
  echo "images.sh: no Docker engine answers; start one, or set DOCKER_HOST to where one listens." >&2
  echo "As root, 'python -m tools.images' starts one for as long as it takes, and needs no image hub either." >&2
  exit 69
}
registry=${REGISTRY:-ghcr.io/arun4infra}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' pyproject.toml)
build() {
  target=$1 image=$registry/$2:v$version
  shift 2
  scripts/ci/build.sh "$image" --target "$target" "$@"
  echo "$image"
}
build function function-agent-executor-runtime "$@"
build service agent-executor "$@"
