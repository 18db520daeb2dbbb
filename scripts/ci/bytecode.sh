#!/bin/sh
# Inside the image build: bytecode.sh INTO puts the bytecode of the base's standard library below INTO, at the paths that
# it has below /. The official Python images leave it out (docker-library/python#615), and a read-only root cannot be
# given it at run time: each start would compile 200 modules again, which takes longer than all else that it does.
set -eu
[ $# -eq 1 ] || { echo "usage: $0 INTO" >&2; exit 64; }
mkdir -p "$1"
library=$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
# -f: what Debian packages has bytecode, which is compared with its sources at each import.
python3 -m compileall -q -f --invalidation-mode unchecked-hash \
  -x '/(site-packages|dist-packages|ensurepip|idlelib|lib2to3|pydoc_data|test|tests|tkinter|turtledemo)/' "$library"
find "$library" -name '*.pyc' -exec cp --parents --target-directory="$1" {} +
find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
