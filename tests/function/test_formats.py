"""What the grammars take: the bad values are in tests/support/bad_values.py."""

import re
from typing import get_args

import pytest

from function import addresses, formats, images, times
from function.formats import Format


def grammar(name):
    return next(part for part in get_args(getattr(formats, name)) if isinstance(part, Format))


GOOD = {
    "ImageReference": [
        "nginx",
        "ghcr.io/org/agent-executor:v1.2.3",
        "localhost:5000/app",
        "registry.example.com:443/a/b/c__d/e--f.g:1",
        "[2001:db8::1]:5000/app",
        "[::1]/app:v1",
        "UPPER.example.com/app",
        "app@sha256:" + "a" * 64,
        "app:v1@sha512:" + "0" * 128,
        "app@sha384:" + "0" * 96,
        "a" * 255,
        "app:" + "t" * 128,
    ],
    "NatsUrls": [
        "nats://nats.nats.svc:4222",
        "nats://nats",
        "tls://nats.example.com:4443/",
        "nats://nats.nats.svc.cluster.local.:8080",
        "nats://a:4222,nats://b:4222,tls://c",
        "nats://[2001:db8::1]:4222",
        "nats://192.0.2.1:65535",
        "nats://127.0.0.1:4222",
        "nats://1-nats.nats.svc:1",
    ],
    "SubdomainName": ["a", "a.b.c", "1a-2", "a" * 253],
    "SecretName": ["a", "a.b.c", "1a-2", "a" * 253],
    "HostPort": ["nats-headless.nats.svc.cluster.local:8222", "[2001:db8::1]:8222", "192.0.2.1:1"],
    "Cidr": ["0.0.0.0/0", "203.0.113.0/24", "8.8.8.8/32", "::/0", "2001:db8::/32"],
    "Duration": ["1s", "1h", "1h30m", "1.5h", ".5h", "3600s", "1500ms", "2m0.5s", "8760h"],
    "CronTime": [
        "0 8 * * 1-5",
        "*/15 8-18/2 1,15 jan-MAR mon",
        "? ? ? ? ?",
        "5/10 * * * *",
        "0  8 * * *",
        "0 0 29 2 *",
    ],
    "TimeZone": ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+1", "EST5EDT"],
    "StreamName": ["AGENT_EXECUTION", "a-b_C1"],
    "SubjectPrefix": ["agent", "team-a.agents", "a.b.c_1"],
    "NatsAccount": ["$G", "AGENTS", "A" * 56],
    "PostgresSchema": ["agent_executor", "_a1", "public", "a" * 63],
    "ParameterPath": ["/a", "/zerotouch/prod/agent-executor", "/a.b/c_d-e"],
    "EnvName": ["A", "_a1", "OTEL_EXPORTER_OTLP_ENDPOINT", "LOG_LEVEL", "OPENAI_BASE_URL"],
    "FreeText": ["", "a\nb", "💥"],
    "LabelKey": ["a", "example.com/team", "a" * 63, "A_b.C-d"],
    "LabelValue": ["", "a", "A_b.C-d"],
    "Registry": ["ghcr.io", "ghcr.io/org", "localhost:5000", "[::1]:5000/a"],
    "Quantity": ["250m", "1.5Gi"],
    "Label": ["a", "1", "a" * 63],
}


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in GOOD.items() for text in texts])
def test_a_good_value_is_taken_as_it_is(name, text):
    assert grammar(name).check(text) == text


def test_every_grammar_has_good_values():
    declared = {
        name for name in vars(formats) if any(isinstance(part, Format) for part in get_args(getattr(formats, name)))
    }
    assert declared - set(GOOD) == {"PodLabelKey", "PodAnnotationKey"}


@pytest.mark.parametrize("name", GOOD)
def test_a_pattern_is_anchored_and_has_nothing_that_re2_lacks(name):
    pattern = grammar(name).pattern
    assert pattern[0] == "^"
    assert pattern[-1] == "$"
    assert not re.search(r"\(\?|\\[1-9]|\*\+|\+\+", pattern)


@pytest.mark.parametrize("name", GOOD)
def test_the_longest_bad_text_is_refused_at_once(name):
    given = grammar(name)
    for unit in ("a", "a.", "a-", "/a", "nats://a,", "1", "* ", "0,", "a/", ":", "1h"):
        text = (unit * given.max_length)[: given.max_length - 1] + "!"
        if name != "FreeText":
            with pytest.raises(ValueError, match=r"."):
                given.check(text)


@pytest.mark.parametrize(
    ("image", "repository"),
    [
        ("nginx", "docker.io/library/nginx"),
        ("org/app:v1", "docker.io/org/app"),
        ("ghcr.io/org/app:v1@sha256:" + "a" * 64, "ghcr.io/org/app"),
        ("localhost/app", "localhost/app"),
        ("host:5000/app:v1", "host:5000/app"),
        ("[::1]:5000/app", "[::1]:5000/app"),
    ],
)
def test_an_image_is_in_the_registry_that_the_runtime_asks(image, repository):
    assert images.repository(image) == repository


def test_a_registry_is_not_another_one_that_starts_alike():
    assert images.within("ghcr.io/org/app", "ghcr.io")
    assert images.within("ghcr.io/org/app", "ghcr.io/org")
    assert not images.within("ghcr.io.evil.com/org/app", "ghcr.io")
    assert not images.within("ghcr.io/organisation/app", "ghcr.io/org")


@pytest.mark.parametrize(
    ("url", "service"),
    [
        ("nats://nats:4222", ("nats", None)),
        ("nats://nats.team:4222", ("nats", "team")),
        ("nats://nats.team.svc:4222", ("nats", "team")),
        ("nats://nats.team.svc.cluster.local.:4222", ("nats", "team")),
        ("nats://nats-0.nats-headless.team.svc:4222", ("nats-headless", "team")),
        ("nats://nats-0.nats-headless.team.svc.cluster.local:4222", ("nats-headless", "team")),
        ("nats://a.b.c.team.svc:4222", None),
        ("nats://nats.example.com:4222", None),
        ("nats://192.0.2.1:4222", None),
        ("nats://[2001:db8::1]:4222", None),
    ],
)
def test_a_host_is_a_service_of_the_cluster_or_outside(url, service):
    assert addresses.nats_servers(url)[0].service == service


def test_a_server_without_a_port_has_that_of_nats():
    assert [server.port for server in addresses.nats_servers("nats://a,tls://a")] == [4222, 4222]


def test_durations_add_up():
    assert times.seconds("1h30m0.5s") == 5400.5
