"""What an API server says: Crossplane's derivation of CRDs and Kubernetes' validation, from pinned modules."""

import json
import subprocess
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from tools import gobinaries
from tools.gomodules import UnavailableError


def ask(definition: Mapping[str, Any], objects: Iterable[Mapping[str, Any]] = ()) -> dict[str, Any]:
    """The faults of a definition, those of each object of it, and the printer columns by kind; skips without Go."""
    try:
        judge = gobinaries.build("api-server", "agent-executor/tests/api-server")
    except UnavailableError as missing:
        pytest.skip(str(missing))
    question = json.dumps({"definition": definition, "objects": list(objects)})
    done = subprocess.run([judge], input=question, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
