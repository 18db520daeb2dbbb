"""The pause image: one program that ends when told and leaves no zombie, in the same bytes each time."""

import hashlib
import io
import json
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import psutil
import pytest

from tools import gobinaries, pause_image

pytestmark = pytest.mark.timeout(600)  # the first build on a machine compiles Go's own library


def opened(content: bytes) -> dict[str, tuple[bytes, int, float]]:
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {member.name: (archive.extractfile(member).read(), member.mode, member.mtime) for member in archive}


def test_an_image_is_the_program_and_nothing_else() -> None:
    content = pause_image.image(b"program")
    files = {name: file for name, (file, _, _) in opened(content).items()}
    (manifest,) = json.loads(files.pop("manifest.json"))
    layer, config = files.pop("layer.tar"), files.pop(manifest["Config"])
    assert files == {}
    assert manifest == {
        "Config": f"{hashlib.sha256(config).hexdigest()}.json",
        "RepoTags": [pause_image.NAME],
        "Layers": ["layer.tar"],
    }
    assert json.loads(config)["config"] == {"Entrypoint": ["/pause"], "User": "65535:65535"}
    assert json.loads(config)["rootfs"]["diff_ids"] == [f"sha256:{hashlib.sha256(layer).hexdigest()}"]
    assert opened(layer) == {"pause": (b"program", 0o755, 0)}
    assert pause_image.image(b"program") == content


def test_the_tarball_holds_the_program_of_this_tree() -> None:
    made = pause_image.tarball()
    assert made.read_bytes() == pause_image.image(gobinaries.build(*pause_image.PROGRAM).read_bytes())
    written = made.stat().st_mtime_ns
    assert (pause_image.tarball(), made.stat().st_mtime_ns) == (made, written)
    made.write_bytes(b"half")
    assert pause_image.tarball().read_bytes() != b"half"


@pytest.mark.parametrize("told", [signal.SIGTERM, signal.SIGINT])
def test_the_program_takes_in_dead_children_and_ends_when_told(told: signal.Signals) -> None:
    binary: Path = gobinaries.build(*pause_image.PROGRAM)
    # Its children are those of the shell that it takes the place of: one that is dead before it starts, and one after.
    with subprocess.Popen(["sh", "-c", 'true & sleep 0.3 & exec "$0"', binary]) as process:
        try:
            pausing, runs = psutil.Process(process.pid), Path(f"/proc/{process.pid}/exe")
            deadline = time.monotonic() + 20
            while runs.readlink() != binary or pausing.children():
                assert time.monotonic() < deadline, pausing.children()
                time.sleep(0.02)
            assert process.poll() is None
            process.send_signal(told)
            assert process.wait(10) == 0
        finally:
            process.kill()
