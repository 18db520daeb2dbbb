"""What the scripts say to whoever starts them."""

import os
import subprocess

from tools.render_examples import ROOT


def test_without_an_engine_it_is_said_what_to_do() -> None:
    script = ROOT / "scripts" / "ci" / "images.sh"
    done = subprocess.run([script], env=os.environ | {"DOCKER": "false"}, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (69, "")
    assert "no Docker engine answers" in done.stderr
    assert "python -m tools.images" in done.stderr
