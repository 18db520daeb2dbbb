"""The base of our own is made once, from this machine's own mirror, or it is said what is missing."""

import re
import tarfile
from pathlib import Path

import pytest

from tests.images import fakes
from tools import base_image
from tools.gomodules import UnavailableError

TARGETS = """Debian-Security oldstable-security http://mirror.example/debian-security/
Debian stable-updates http://mirror.example/debian/
 something http://other.example/
Debian stable http://mirror.example/debian/
Debian stable http://second.example/debian/
"""
# As debootstrap is called: --variant, --include, the suite, the directory, the mirror.
MAKES = """mkdir -p "$4/etc" "$4/usr" "$4/var/cache/apt/archives" "$4/var/lib/apt/lists"
for library in 3 3.13/json; do mkdir -p "$4/usr/lib/python$library/__pycache__"; done
touch "$4/usr/lib/python3.13/json/kept.py" "$4/usr/lib/python3.13/json/__pycache__/left.pyc"
touch "$4/var/cache/apt/archives/python3.deb" "$4/var/lib/apt/lists/found" "$4/usr/kept"
for told in hostname resolv.conf apt.conf; do echo machine > "$4/etc/$told"; done
echo "$1 $3 $5" > "$4/usr/called"; echo once >> "$CALLS"
"""
FAKES = {
    "apt_get": f"cat <<'END'\n{TARGETS}END",
    "unshare": 'shift; exec "$@"',
    "chroot": "echo 3.13.5",
    "debootstrap": MAKES,
}


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of root's, with everything and an empty cache; where its programs are."""
    programs = tmp_path / "programs"
    monkeypatch.setenv("PATH", fakes.path(programs, **FAKES))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(base_image.os, "geteuid", lambda: 0)
    monkeypatch.setattr(base_image, "official", lambda: base_image.Official("3.13.14", "trixie"))
    return programs


def test_the_base_is_the_dockerfiles_own_suite_and_python() -> None:
    python, suite = base_image.official()
    assert re.fullmatch(r"3\.\d+\.\d+", python)
    assert re.fullmatch(rf"agent-executor-base:{suite}-[0-9a-f]{{8}}", base_image.name())


def test_a_base_of_other_contents_has_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    before = base_image.name()
    monkeypatch.setattr(base_image, "LEFT_OUT", (*base_image.LEFT_OUT, "usr/share/doc"))
    assert base_image.name() != before


def test_the_mirror_is_the_one_that_apt_has_debian_itself_from(machine: Path) -> None:
    assert base_image.mirror() == "http://mirror.example/debian/"


def test_a_base_is_made_once_and_carries_nothing_of_this_machine(machine: Path, tmp_path: Path) -> None:
    made = base_image.tarball()
    assert base_image.tarball() == made
    assert (tmp_path / "calls").read_text() == "once\n"
    with tarfile.open(made) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}
        assert archive.getmember(".").mode == 0o755
    assert files == {
        "./etc/apt.conf": b"machine\n",
        "./etc/hostname": b"",
        "./etc/resolv.conf": b"",
        "./usr/lib/python3.13/json/kept.py": b"",
        "./usr/called": b"--variant=minbase trixie http://mirror.example/debian/\n",
        "./usr/kept": b"",
    }


@pytest.mark.parametrize(
    ("program", "script", "error", "said"),
    [
        ("debootstrap", None, UnavailableError, "no base image: debootstrap is not on this machine"),
        ("apt_get", None, UnavailableError, "no base image: apt-get is not on this machine"),
        ("apt_get", "exit 0", UnavailableError, "no base image: apt has no Debian mirror here"),
        ("chroot", "echo 3.14.1", UnavailableError, "no base image: trixie has Python 3.14.1, and the Dockerfile's"),
        ("debootstrap", "echo no space left; exit 1", RuntimeError, "no space left"),
    ],
)
def test_a_base_that_cannot_be_made_says_why_and_leaves_nothing(
    machine: Path, tmp_path: Path, program: str, script: str | None, error: type[Exception], said: str
) -> None:
    if script is None:
        (machine / program.replace("_", "-")).unlink()
    else:
        fakes.path(machine, **{program: script})
    with pytest.raises(error, match=re.escape(said)):
        base_image.tarball()
    assert not list((tmp_path / "cache").rglob("*.tar"))


def test_only_root_makes_a_base(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base_image.os, "geteuid", lambda: 1000)
    with pytest.raises(UnavailableError, match=r"^only root"):
        base_image.tarball()


@pytest.mark.parametrize(("there", "calls"), [(0, ["image"]), (1, ["image", "import"])])
def test_an_engine_that_has_the_base_is_not_given_it_again(
    machine: Path, tmp_path: Path, there: int, calls: list[str]
) -> None:
    fakes.path(machine, docker=f'echo "$1" >> "{tmp_path}/docker"; [ "$1" = import ] || exit {there}')
    assert base_image.loaded() == base_image.name()
    assert (tmp_path / "docker").read_text().split() == calls
