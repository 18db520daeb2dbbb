"""The page of errors names every type that the service's code raises, with the right word for each."""

import re
from pathlib import Path

from agent_executor.core.classify import _FINAL

ROOT = Path(__file__).parents[2]
RAISED = re.compile(r'\b(Permanent|Temporary)Error\(\s*"([a-z_]+)"')


def raised() -> dict[str, str]:
    """Each type in the source, and whether it is temporary in the page's words."""
    source = "\n".join(path.read_text() for path in sorted((ROOT / "service").rglob("*.py")))
    found = {kind: "yes" if word == "Temporary" else "no" for word, kind in RAISED.findall(source)}
    assert 'super().__init__("invalid_event"' in source
    return found | dict.fromkeys([*_FINAL.values(), "invalid_event"], "no")


def test_the_page_has_each_type_and_no_other() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()
    assert dict(re.findall(r"^\| `([a-z_]+)` \| (yes|no) \|", page, re.MULTILINE)) == raised()
