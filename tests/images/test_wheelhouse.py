"""The wheelhouse has what the base's Python needs, whatever Python fills it, and nothing that was not locked."""

import hashlib
import re
import zipfile
from pathlib import Path

import pytest

from tools import base_image, wheelhouse
from tools.gomodules import UnavailableError

WHEELS = {
    "everywhere": "everywhere-1.0-py3-none-any.whl",
    "compiled": "compiled-1.0-cp313-cp313-manylinux_2_17_x86_64.manylinux_2_17_aarch64.whl",
}
# The markers that this machine's own Python would judge otherwise.
LOCK = """compiled[fast]==1.0 ; python_full_version >= '3.13' \\
    --hash=sha256:{compiled}
everywhere==1.0 \\
    --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000 \\
    --hash=sha256:{everywhere}
older==1.0 ; python_full_version < '3.13' \\
    --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000
windows==1.0 ; sys_platform == 'win32' \\
    --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000
"""


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three locks, an index of two wheels, and an empty cache; the last of the locks."""
    index, digests = tmp_path / "index", {}
    index.mkdir()
    for name, file in WHEELS.items():
        with zipfile.ZipFile(index / file, "w") as wheel:
            wheel.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            wheel.writestr(f"{name}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\n")
            wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")
        digests[name] = hashlib.sha256((index / file).read_bytes()).hexdigest()
    requirements = tmp_path / "requirements"
    requirements.mkdir()
    for half in wheelhouse.HALVES:
        (requirements / f"{half}.txt").write_text(LOCK.format(**digests))
    monkeypatch.setattr(wheelhouse, "ROOT", tmp_path)
    monkeypatch.setattr(base_image, "official", lambda: base_image.Official("3.13.14", "trixie"))
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(index)}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return requirements / "service.txt"


def test_the_lines_that_count_are_those_of_the_other_python() -> None:
    text = LOCK.format(compiled="c" * 64, everywhere="e" * 64)
    kept = {
        version: [line.split()[0] for line in wheelhouse.chosen(text, version).splitlines() if "==" in line]
        for version in ("3.12.4", "3.13.14")
    }
    assert kept == {"3.12.4": ["everywhere==1.0", "older==1.0"], "3.13.14": ["compiled==1.0", "everywhere==1.0"]}


def test_every_line_of_our_own_locks_is_read() -> None:
    for half in wheelhouse.HALVES:
        text = (wheelhouse.ROOT / "requirements" / f"{half}.txt").read_text("utf-8")
        kept = wheelhouse.chosen(text, base_image.official().python)
        assert text.count("==") - kept.count("==") in range(6)
        assert "\n    --hash=sha256:" in kept


@pytest.mark.slow
def test_the_wheels_are_downloaded_once_for_each_lock(lock: Path) -> None:
    made = wheelhouse.directory()
    assert {file.name for file in made.iterdir()} == set(WHEELS.values())
    written = made.stat().st_mtime_ns
    assert (wheelhouse.directory(), made.stat().st_mtime_ns) == (made, written)
    lock.write_text(lock.read_text().partition("everywhere")[0])
    again = wheelhouse.directory()
    assert again != made
    assert {file.name for file in again.iterdir()} == set(WHEELS.values())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "error", "said"),
    [
        ("everywhere==1.0", "everywhere==2.0", UnavailableError, "everywhere==2.0"),
        ("[0-9a-f]{64}", "1" * 64, RuntimeError, "DO NOT MATCH THE HASHES"),
    ],
)
def test_wheels_that_cannot_be_had_are_named_and_none_is_kept(
    lock: Path, old: str, new: str, error: type[Exception], said: str
) -> None:
    lock.write_text(re.sub(old, new, lock.read_text()))
    for _ in range(2):
        with pytest.raises(error, match=said):
            wheelhouse.directory()
