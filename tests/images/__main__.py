"""`make test-images`: the tests of both images, none skipped, with whatever engine and base this machine can have.

The engine is the one that answers, or one of our own meanwhile. The base is the Dockerfile's, or BASE_IMAGE. Where no
hub is reached it is the one of Debian's packages, with the locked wheels in `wheelhouse/`: builds have no network.
"""

import os
import subprocess
import sys

from tests.images.engine import BASE, present
from tools import base_image, docker, wheelhouse
from tools.gomodules import UnavailableError


def main() -> int:
    """The tests' exit status; raises UnavailableError where there can be no engine or no base."""
    with docker.engine():
        environment = os.environ | {"REQUIRE_IMAGES": "1"}
        if not present(BASE):
            wheelhouse.main()
            environment["BASE_IMAGE"] = base_image.loaded()
        command = [sys.executable, "-m", "pytest", "-n", "0", "tests/images/test_images.py"]
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    try:
        sys.exit(main())
    except UnavailableError as error:
        sys.exit(str(error))
