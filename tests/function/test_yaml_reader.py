"""YAML and JSON are read as kubectl reads them, and no file can hang or fill the process."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from function import yaml_reader


def value(text: str) -> object:
    (parsed,) = yaml_reader.parse(text)
    return parsed.value


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("yes", True), ("Off", False), ("n", False), ("TRUE", True), ("'yes'", "yes"), ("yEs", "yEs"),
        ("1", 1), ("+1", 1), ("-1", -1), ("0x1F", 31), ("017", 15), ("0o17", 15), ("0b11", 3), ("1_000", 1000),
        ("08", 8.0),
        ("18446744073709551615", 2**64 - 1), ("18446744073709551616", 2.0**64), ("9" * 6000, "9" * 6000),
        ("1.5", 1.5), (".5", 0.5), ("1e3", 1000.0), ("1.", 1.0), ("1e999", "1e999"), (".", "."),
        ("12:30", "12:30"), ("2026-11-23", "2026-11-23"), ("250m", "250m"), ("=", "="),
        ("!!str 5", "5"), ('!!int "5"', "5"), ("|\n  x\n  y\n", "x\ny\n"), (r'"\ud83d\ude00"', "😀"), (r'"\/"', "/"),
    ],
)  # fmt: skip
def test_a_scalar_is_what_kubectl_takes_it_for(text: str, read: object) -> None:
    found = value(f"a: {text}")
    assert found == {"a": read}
    assert type(found["a"]) is type(read)


def test_null_is_written_in_five_ways() -> None:
    assert value("[~, null, Null, NULL, ]") == [None] * 4
    assert value("a:") == {"a": None}


def test_merge_keys_and_aliases_are_followed() -> None:
    text = "base: &b {p: 1, q: 2}\nmore: &m {q: 3, r: 4}\none: {<<: *b, p: 5}\nboth: {<<: [*b, *m]}\n"
    assert value(text) == {
        "base": {"p": 1, "q": 2}, "more": {"q": 3, "r": 4}, "one": {"p": 5, "q": 2}, "both": {"p": 1, "q": 2, "r": 4},
    }  # fmt: skip


def test_json_may_be_indented_with_tabs() -> None:
    assert value('{\n\t"a":\t[1, {"b": null}]\n}') == {"a": [1, {"b": None}]}


def test_every_field_knows_its_line() -> None:
    (parsed,) = yaml_reader.parse("---\na: 1\nb:\n- c: 2\n  a/d: 3\n")
    assert (parsed.line, parsed.lines) == (2, {"a": 2, "b": 3, "b[0]": 4, "b[0].c": 4, "b[0]['a/d']": 5})


def test_documents_that_hold_nothing_are_passed_over() -> None:
    assert [p.value for p in yaml_reader.parse("---\n---\na: 1\n---\n# only this\n---\nb: 2\n...\n")] == [
        {"a": 1},
        {"b": 2},
    ]


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\nb: 2\na: 3", 3, "the key 'a' is given twice"),
        ("a: {b: 1, b: 2}", 1, "the key 'b' is given twice"),
        ("a:\n\t- b", 2, "a tab cannot indent YAML, spaces can"),
        ("a: b: c", 1, "mapping values are not allowed here"),
        ("a:\n  - b\n c", 3, "expected <block end>"),
        ("a: 'x", 1, "found unexpected end of stream"),
        ("a: *b", 1, "the alias 'b' has no anchor before it"),
        ("a: *b\u2028", 1, "the alias 'b\\u2028' has no anchor before it"),
        ("a: &a [*a]", 1, "the alias 'a' has no anchor before it"),
        ("a: !!python/object:os.system x", 1, "means nothing to Kubernetes"),
        ("a: !Ref x", 1, "means nothing to Kubernetes"),
        ("? [a]\n: b", 1, "a key that is not a string"),
        ("1: b", 1, "a key that is not a string"),
        ("on: push", 1, "a key that is not a string"),
        ("<<: 1", 1, "'<<' takes a mapping"),
        (r'a: "\ud83d"', 1, "half of a surrogate pair"),
        ("a: 1\nb: \x01", 2, "U+0001 cannot stand in YAML"),
        ("[" * 5000, 1, "nested more than 100 deep"),
        ("{a: " * 5000, 1, "nested more than 100 deep"),
    ],
)
def test_what_cannot_be_read_says_where_and_why(text: str, line: int, says: str) -> None:
    with pytest.raises(yaml_reader.SyntaxFaultError) as fault:
        list(yaml_reader.parse(text))
    assert fault.value.line == line
    assert says in str(fault.value)


def test_a_bomb_of_aliases_is_refused_before_it_goes_off() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    began = time.process_time()
    with pytest.raises(yaml_reader.SyntaxFaultError, match="aliases counted in full"):
        list(yaml_reader.parse(bomb))
    assert time.process_time() - began < 1


PIECES = [
    "a: ", "b", "- ", "? ", "\n", "  ", "\t", "{", "}", "[", "]", ", ", ": ", "#", "&a ", "*a", "<<: ", "!!str ", "~",
    "!<x> ", "!!int ", "%YAML 1.1\n", "%TAG ! x\n", "---\n", "...\n", "|", ">-\n", "|+3\n", "'", '"', "\\", '"\\x4',
    "\0", "\x85", "\u2028", "\ufeff", "é", "0x", "1e", ".",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join))
def test_any_text_is_read_or_refused_in_one_line(text: str) -> None:
    fault = None
    try:
        list(yaml_reader.parse(text))
    except yaml_reader.SyntaxFaultError as refused:
        fault = refused
    assert fault is None or (fault.line in range(1, text.count("\n") + 2) and len(str(fault).splitlines()) == 1)
