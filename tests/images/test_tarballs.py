"""The images' tarballs are made once for what goes into them, from a copy, and the oldest go."""

import io
import json
import os
import tarfile
from pathlib import Path

import pytest

from tests.images import fakes
from tools import base_image, images, wheelhouse

# Notes what it was called with, and gives what `docker save` is asked for.
DOCKER = """echo "$@" >> "$CALLS"
case $1 in
  version) exit 0;;
  save) cp "$ARCHIVES/${3##*/}" "${2#--output=}";;
esac
"""
SCRIPT = """#!/bin/sh
echo "$@" "$GIT_DIR" >> "$CALLS"
cat "$(dirname "$0")/../../function/main.py" >> "$CALLS"
ls "$(dirname "$0")/../../wheelhouse" >> "$CALLS"
for half in function service; do echo sha256:123; echo "registry.example/$half"; done
"""


def archive(name: str) -> bytes:
    sink, content = io.BytesIO(), json.dumps([{"RepoTags": [name]}]).encode()
    with tarfile.open(fileobj=sink, mode="w") as tar:
        member = tarfile.TarInfo("manifest.json")
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    return sink.getvalue()


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small tree of ours, an engine that builds nothing, and an empty cache."""
    root = tmp_path / "tree"
    for name, text in {
        ".dockerignore": "*\n!LICENSE\n!function\n!scripts/ci\n!wheelhouse\n",
        "Dockerfile": "FROM that\n",
        "LICENSE": "free\n",
        "function/main.py": "first\n",
        "function/__pycache__/main.pyc": "bytecode",
        "elsewhere/notes": "not in an image",
        "scripts/ci/images.sh": SCRIPT,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / "scripts/ci/images.sh").chmod(0o755)
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    (wheels / "one.whl").touch()
    for half in images.Images._fields:
        (tmp_path / half).write_bytes(archive(f"registry.example/{half}"))
    monkeypatch.setattr(images, "ROOT", root)
    monkeypatch.setattr(wheelhouse, "directory", lambda: wheels)
    monkeypatch.setattr(base_image, "loaded", lambda: "our-base")
    monkeypatch.delenv("BASE_IMAGE", raising=False)
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setenv("ARCHIVES", str(tmp_path))
    monkeypatch.setenv("PATH", fakes.path(tmp_path / "programs", docker=DOCKER) + os.pathsep + os.environ["PATH"])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return root


def test_the_tarballs_are_named_by_what_they_hold(tree: Path, tmp_path: Path) -> None:
    made = images.built()
    assert [image.name for image in made] == ["registry.example/function", "registry.example/service"]
    assert all(image.tarball.is_relative_to(tmp_path / "cache" / "agent-executor" / "images") for image in made)
    calls = (tmp_path / "calls").read_text().splitlines()
    assert "--build-arg=BASE_IMAGE=our-base --network=none --quiet" in [line.strip() for line in calls]
    assert {"first", "one.whl"} <= set(calls)


@pytest.mark.parametrize(
    ("file", "text", "again"),
    [
        ("function/main.py", "first\n", False),  # the time alone
        ("function/main.py", "second\n", True),
        ("function/new.py", "", True),
        ("Dockerfile", "FROM this\n", True),
        ("elsewhere/notes", "more", False),
        ("function/__pycache__/new.pyc", "more", False),
    ],
)
def test_they_are_made_again_only_for_other_content(
    tree: Path, tmp_path: Path, file: str, text: str, again: bool
) -> None:
    first = images.built()
    (tmp_path / "calls").unlink()
    (tree / file).write_text(text)
    os.utime(tree / file, (1, 1))
    second = images.built()
    assert (first != second, (tmp_path / "calls").exists()) == (again, again)


def test_another_base_makes_other_images(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = images.built()
    monkeypatch.setenv("BASE_IMAGE", "another-base")
    assert images.built() != first
    assert "BASE_IMAGE=another-base " in (tmp_path / "calls").read_text()


def test_the_ones_that_were_used_last_are_kept(tree: Path) -> None:
    made = []
    for version in range(images.KEPT + 2):
        (tree / "function/main.py").write_text(str(version))
        made.append(images.built().service.tarball)
        os.utime(made[-1].parent, (version + 1, version + 1))
    assert [tarball.exists() for tarball in made] == [False, False, *[True] * images.KEPT]


def test_a_build_that_fails_says_its_last_words_and_leaves_nothing(tree: Path, tmp_path: Path) -> None:
    (tree / "scripts/ci/images.sh").write_text("#!/bin/sh\necho no wheel for it >&2; exit 1\n")
    with pytest.raises(RuntimeError, match=r"^images.sh: no wheel for it"):
        images.built()
    assert not list((tmp_path / "cache").rglob("*.tar"))


def test_everything_that_the_dockerfile_copies_is_in_the_copy(tmp_path: Path) -> None:
    images.stage(tmp_path)
    copied = [
        source
        for line in (images.ROOT / "Dockerfile").read_text().splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
        if source != "wheelhous[e]"
    ]
    assert copied
    assert [source for source in copied if not (tmp_path / source).exists()] == []
    assert not list(tmp_path.rglob("__pycache__"))
