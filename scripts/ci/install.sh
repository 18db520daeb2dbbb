#!/bin/sh
# Inside the image build: install.sh ENVIRONMENT REQUIREMENTS [WHEEL] puts the locked packages, and then our own wheel,
# into a virtual environment. With our wheel the environment is what ships: it gets its SBOM and its bytecode, and
# every file the same time, so that two builds of one commit hold the same files.
set -eu
[ $# -ge 2 ] || { echo "usage: $0 ENVIRONMENT REQUIREMENTS [WHEEL]" >&2; exit 64; }
environment=$1 requirements=$2 wheel=${3-}
for found in /wheelhouse/*.whl; do
  # A wheelhouse has to do: a build that may not use the network fails for what is missing, rather than look for it.
  [ -e "$found" ] && export PIP_NO_INDEX=1
  break
done
pip() { /build/bin/python -m pip --python "$environment/bin/python" "$@"; }
pip install --quiet --no-compile --require-hashes --requirement "$requirements"
[ -n "$wheel" ] || exit 0
pip install --quiet --no-compile --no-deps "$wheel"
# tests/images validate it: here that would be half of the build, and ten minutes of it where arm64 is emulated.
/build/bin/cyclonedx-py environment --no-validate --output-reproducible --output-format JSON \
  --output-file "$environment/sbom.cdx.json" "$environment"
# Checked by nothing at run time, so neither clocks nor a read-only root make Python compile again.
# -f: a tool above may have run this Python, which then wrote bytecode that carries the clock.
"$environment/bin/python" -m compileall -q -f --invalidation-mode unchecked-hash "$environment/lib"
find "$environment" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
