"""A manifest's fields and the paths that people write for them."""

import pytest

from function import fields

POD = {
    "spec": {
        "containers": [
            {"name": "a", "env": [{"name": "X", "value": "1"}, {"name": "Y"}], "args": ["p", "q"]},
            {"name": "b", "resources": {}, "ports": []},
        ],
        "labels": {"app.kubernetes.io/name": "n"},
        "rules": [{"ports": [{"port": 1}]}, {"name": "only this one"}],
    }
}


def test_entries_with_names_go_by_them_and_others_by_their_place() -> None:
    assert dict(fields.leaves(POD)) == {
        "spec.containers[a].name": "a",
        "spec.containers[a].env[X].name": "X",
        "spec.containers[a].env[X].value": "1",
        "spec.containers[a].env[Y].name": "Y",
        "spec.containers[a].args[0]": "p",
        "spec.containers[a].args[1]": "q",
        "spec.containers[b].name": "b",
        "spec.containers[b].resources": {},
        "spec.containers[b].ports": [],
        "spec.labels['app.kubernetes.io/name']": "n",
        "spec.rules[0].ports[0].port": 1,
        "spec.rules[1].name": "only this one",
    }


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("", ""),
        ("spec", "spec"),
        ("spec.containers[0].env[1]", "spec.containers[a].env[Y]"),
        ("spec.containers[a].env[X].value", "spec.containers[a].env[X].value"),
        ("spec.labels['app.kubernetes.io/name']", "spec.labels['app.kubernetes.io/name']"),
        ("spec.rules[1].name", "spec.rules[1].name"),
    ],
)
def test_a_path_is_found_by_name_or_by_place(asked: str, found: str) -> None:
    assert fields.find(POD, asked) == found


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("sepc", "no 'sepc', there is spec"),
        ("spec.containers[2]", r"no 'spec.containers\[2\]', there is \[a\], \[b\]"),
        ("spec.containers[0].args[0].x", "there is nothing below it"),
        ("spec..containers", "'..containers' is not a path such as"),
        ("spec/containers", "'/containers' is not a path such as"),
        ("spec.containers[", r"'\[' is not a path such as"),
        ("[0]", r"no '\[0\]', there is spec"),
    ],
)
def test_a_path_that_leads_nowhere_says_what_there_is(asked: str, says: str) -> None:
    with pytest.raises(LookupError, match=says):
        fields.find(POD, asked)
