#!/bin/sh
# Fills wheelhouse/ with the locked wheels of both images, so that the next image build asks no network for anything.
# PYTHON is the interpreter of the base image's version (wheels are made for one); python3 unless set.
set -eu
cd "$(dirname "$0")/../.."
for half in image function service; do
  "${PYTHON:-python3}" -m pip download --quiet --disable-pip-version-check --only-binary :all: --require-hashes \
    --requirement "requirements/$half.txt" --dest wheelhouse
done
