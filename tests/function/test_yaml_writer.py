"""What is written reads back as the same value, by the rules of YAML 1.1, of YAML 1.2 and of kubectl."""

import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from function import yaml_reader, yaml_writer

AWKWARD = [
    "", "on", "On", "OFF", "yes", "NO", "y", "N", "true", "null", "Null", "~", "1", "-1", "+1", "0", "1e3", "1E3",
    "0o14", "014", "0x1f", "0b1", "12:30", "1:30:00", "1_000", "1.5", ".5", "1.", ".inf", "-.inf", ".nan",
    "2026-11-23", "2026-11-23T10:00:00Z", "=", "<<", "-", "- a", "?", "? a", ":", ": a", "a:", "a: b", "a:b", "#",
    "a #b", "a#b", "@a", "`a", "%a", "&a", "*a", "!a", "|", ">", "'", "\"", "[a]", "{a}", ",", "a,b", " a", "a ",
    "a  b", "\ta", "a\n", "a\nb", "\\", "\x07", "\x7f", "\x85", "\u2028", "\ufeff", "é", "😀", "250m", "1.5Gi",
    "010m", "1s", "500", "---", "...", "--- a", "nats://nats.nats.svc:4222", "[::1]:4222", "10.0.0.0/8", "$G",
    "/a/b", "a" * 500, "0 8 * * 1-5", "8 8 8 8", "a/b: c", "UTC", "Etc/GMT+1", "1h", "1k", "1M", "e", "E1",
]  # fmt: skip


def read_by(version: str, text: str) -> list[Any]:
    yaml = YAML(typ="safe", pure=True)
    yaml.version = version
    return list(yaml.load_all(io.StringIO(text)))


@pytest.mark.parametrize("text", AWKWARD)
def test_a_string_stays_that_string_under_every_parser(text: str) -> None:
    written = yaml_writer.stream([{"value": text, "in": [text, {"key": [text]}], "k" + text: 1}])
    wanted = [{"value": text, "in": [text, {"key": [text]}], "k" + text: 1}]
    assert [p.value for p in yaml_reader.parse(written)] == wanted
    assert read_by("1.1", written) == wanted
    assert read_by("1.2", written) == wanted


def test_what_people_write_without_quotes_has_none() -> None:
    plain = [
        "nats://nats.nats.svc:4222",
        "500m",
        "1.5Gi",
        "1h",
        "scripts/ci/run-migrations.sh",
        "/tmp",
        "ghcr.io/a/b:v1.0.0",
    ]
    assert yaml_writer.stream([{"a": plain}]) == "---\na:\n" + "".join(f"- {text}\n" for text in plain)


def test_a_manifest_reads_as_kubernetes_writes_them() -> None:
    document = {
        "spec": {
            "empty": {},
            "none": [],
            "list": [{"a": 1, "b": {"c": True}}, "x", ["p", ["q"]]],
            "half": 0.5,
            "null": None,
        }
    }
    assert yaml_writer.stream([document]) == (
        "---\nspec:\n  empty: {}\n  none: []\n  list:\n  - a: 1\n    b:\n      c: true\n  - x\n  - - p\n    - - q\n"
        '  half: 0.5\n  "null": null\n'
    )


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner)
    ),
    max_leaves=20,
)


@pytest.mark.slow
@given(st.lists(st.dictionaries(st.text("abcON:#- 1.y'\"", max_size=5), JSON, min_size=1), max_size=3))
def test_any_json_comes_back_as_it_was(documents: list[dict[str, Any]]) -> None:
    written = yaml_writer.stream(documents)
    merge = any('"<<"' in json.dumps(document) for document in documents)
    assert merge or [p.value for p in yaml_reader.parse(written)] == documents
