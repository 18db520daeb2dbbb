"""Write every generated file, or with `--check` say which are stale.

To add a generator, write a module with `files() -> dict[Path, str]`, paths from the repository's root, and name it in
GENERATORS.
"""

import argparse
import importlib
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
GENERATORS = ("tools.generate_schemas",)


def wanted() -> dict[Path, str]:
    """Path, from the repository's root, to what the file should hold."""
    return {path: text for name in GENERATORS for path, text in importlib.import_module(name).files().items()}


def stale(files: dict[Path, str]) -> list[Path]:
    """The files that are missing or hold something else."""
    return [p for p, text in files.items() if not (ROOT / p).is_file() or (ROOT / p).read_text("utf-8") != text]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a file is stale, and name it")
    check = parser.parse_args().check
    files = wanted()
    old = stale(files)
    for path in old:
        if not check:
            (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / path).write_text(files[path], "utf-8")
        print(f"{'stale' if check else 'wrote'} {path}")
    if check and old:
        print("run `make generate`", file=sys.stderr)
    return int(check and bool(old))


if __name__ == "__main__":
    sys.exit(main())
