"""Write every generated file, or with `--check` say which are stale.

To add a generator, write a module with `files() -> dict[Path, str]`, paths from the repository's root, and name it in
GENERATORS.
"""

import argparse
import importlib
import sys
from collections.abc import Mapping
from pathlib import Path

from tools.gomodules import UnavailableError

ROOT = Path(__file__).parents[1]
GENERATORS = (
    "generate_schemas",
    "generate_custom_schemas",
    "generate_timezones",
    "generate_xrds",
    "generate_reference",
    "generate_service_reference",
)


def files(generator: str) -> dict[Path, str]:
    """What one generator makes: path to text; raises UnavailableError where its source cannot be had."""
    found: dict[Path, str] = importlib.import_module(f"tools.{generator}").files()
    return found


def stale(wanted: Mapping[Path, str]) -> list[Path]:
    """The files that are missing or hold something else."""
    return [p for p, text in wanted.items() if not (ROOT / p).is_file() or (ROOT / p).read_text("utf-8") != text]


def write(path: Path, text: str) -> None:
    """Put one file in its place."""
    (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
    (ROOT / path).write_text(text, "utf-8")


def main() -> int:
    """Exit 1 if a file is stale, or could not be written; a check that cannot be made is said, and is no failure."""
    parser = argparse.ArgumentParser(prog="python -m tools.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is stale, and name it")
    check = parser.parse_args().check
    failed = False
    for generator in GENERATORS:
        try:
            wanted = files(generator)
        except UnavailableError as missing:
            print(f"{generator}: not {'checked' if check else 'written'}: {missing}", file=sys.stderr)
            failed |= not check
            continue
        for path in stale(wanted):
            if not check:
                write(path, wanted[path])
            failed |= check
            print(f"{'stale, run `make generate`:' if check else 'wrote'} {path}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
