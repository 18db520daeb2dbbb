"""Renders every example into `examples/rendered/`, which is documentation and what the tests compare with.

`claims/x.yaml` is rendered for the platform of `platforms/x.yaml` where there is one. What the function says of the
observed states in `observed/x/` goes into `rendered/observed/x/`, and so do the objects where the state changes them.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from function import documents, preview, yaml_writer

ROOT = Path(__file__).parents[1]
EXAMPLES = Path("examples")
RENDERED = EXAMPLES / "rendered"


class Example(NamedTuple):
    """A claim or composite, the platform it is for, and observed states of it; paths from the repository's root."""

    claim: Path
    platform: Path | None
    observed: tuple[Path, ...]

    def golden(self) -> Path:
        """Where its objects are."""
        return RENDERED / self.claim.relative_to(EXAMPLES)


def examples() -> Iterator[Example]:
    """Every example, in the order of their names."""
    base = ROOT / EXAMPLES
    for path in (base / "claim.yaml", *sorted(base.glob("claims/*.yaml")), *sorted(base.glob("xr/*.yaml"))):
        claim = path.relative_to(ROOT)
        platform = EXAMPLES / "platforms" / claim.name
        states = sorted((base / "observed" / claim.stem).glob("*.yaml")) if claim.parent.name != "xr" else []
        yield Example(
            claim, platform if (ROOT / platform).exists() else None, tuple(state.relative_to(ROOT) for state in states)
        )


def files() -> dict[Path, str]:
    """Every golden by its path from the repository's root."""
    os.chdir(ROOT)  # messages name files as a person in the repository would
    made = {}
    for example in examples():
        platform = str(example.platform) if example.platform else None
        (one,) = preview.load([str(example.claim)], platform)
        told = f"{example.claim} for {example.platform}" if example.platform else f"{example.claim}"
        made[example.golden()] = f"# {told}, by `make render`\n{yaml_writer.stream(one.objects.values())}"
        for state in example.observed:
            seen = [document.body for document in documents.read(str(state))]
            (then,) = preview.load([str(example.claim)], platform, None, seen)
            said = "\n".join(preview.report(then, seen))
            golden = RENDERED / state.relative_to(EXAMPLES)
            made[golden.with_suffix(".txt")] = f"# {state}, by `make render`\n{said}\n"
            if then.objects != one.objects:
                made[golden] = f"# {told}, with {state}, by `make render`\n{yaml_writer.stream(then.objects.values())}"
    return made


def main() -> int:
    """Write what changed, and remove what no example makes any more."""
    wanted = files()
    for path in sorted((ROOT / RENDERED).rglob("*.*")):
        if path.relative_to(ROOT) not in wanted:
            path.unlink()
            print(f"removed {path.relative_to(ROOT)}")
    for path, text in wanted.items():
        if not (ROOT / path).is_file() or (ROOT / path).read_text("utf-8") != text:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(text, "utf-8")
            print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
