import pytest

from agent_executor import settings
from agent_executor.errors import shown
from agent_executor.settings import SettingsError

NAMES = "a name without spaces, dots, *, > and slashes, at most 255 characters"
HOSTS = "a host name, an address or a directory, at most 4096 characters"
CANARY = "canary-3f9a"
GIVEN = {
    "NATS_URL": "nats://nats.nats.svc:4222",
    "POSTGRES_HOST": "pg",
    "POSTGRES_DB": "agents",
    "POSTGRES_USER": "agent",
    "POSTGRES_PASSWORD": CANARY,
    "DRAGONFLY_HOST": "dragonfly",
}


def complaint(**env):
    with pytest.raises(SettingsError) as caught:
        settings.load(GIVEN | env)
    return str(caught.value)


def test_six_variables_are_enough_and_the_rest_are_the_contracts_defaults():
    given = settings.load(GIVEN)
    assert (given.nats_stream, given.nats_consumer) == ("AGENT_EXECUTION", "agent-executor-workers")
    assert (given.nats_status_stream, given.nats_dead_letter_stream) == ("AGENT_STATUS", "AGENT_DEAD_LETTER")
    assert given.subject("execute", "*") == "agent.execute.*"
    assert (given.postgres_schema, given.http_host, given.http_port) == ("agent_executor", "0.0.0.0", 8080)
    assert given.allow_scripted_model is False
    assert given.agent_executor_api_token is None


@pytest.mark.parametrize("name", GIVEN)
def test_no_default_hides_a_missing_dependency(name):
    without = {key: value for key, value in GIVEN.items() if key != name}
    for env in (without, without | {name: ""}):
        with pytest.raises(SettingsError, match=f"^{name}: is not set"):
            settings.load(env)


COMPLAINTS = {
    "a port is a number": ({"POSTGRES_PORT": "five"}, "POSTGRES_PORT: 'five' is not a port from 1 to 65535"),
    "a port has a limit": ({"HTTP_PORT": "70000"}, "HTTP_PORT: '70000' is not a port from 0 (any free one) to 65535"),
    "a count starts at one": (
        {"MAX_CONCURRENT_JOBS": "0"},
        "MAX_CONCURRENT_JOBS: '0' is not a whole number from 1 to 1000",
    ),
    "a level is one of four": ({"LOG_LEVEL": "loud"}, "LOG_LEVEL: 'loud' is not one of debug, info, warning, error"),
    "a flag is true or false": ({"LOG_CONTENT": "maybe"}, "LOG_CONTENT: 'maybe' is not true or false"),
    "seconds are finite": (
        {"JOB_TIMEOUT_SECONDS": "inf"},
        "JOB_TIMEOUT_SECONDS: 'inf' is not seconds, more than 0, at most 43200",
    ),
    "a job ends while its event is in the stream": (
        {"JOB_TIMEOUT_SECONDS": "43201"},
        "JOB_TIMEOUT_SECONDS: '43201' is not seconds, more than 0, at most 43200",
    ),
    "and so do its attempts": (
        {"JOB_RETRY_DELAY_SECONDS": "3601"},
        "JOB_RETRY_DELAY_SECONDS: '3601' is not seconds from 0 to 3600",
    ),
    "even the last one": (
        {"JOB_RETRY_DELAY_MAX_SECONDS": "3601"},
        "JOB_RETRY_DELAY_MAX_SECONDS: '3601' is not seconds from 0 to 3600",
    ),
    "a prefix has no wildcard": (
        {"NATS_SUBJECT_PREFIX": "a.*"},
        "NATS_SUBJECT_PREFIX: 'a.*' is not letters, digits, - and _, in tokens joined by dots",
    ),
    "a schema is not PostgreSQL's own": (
        {"POSTGRES_SCHEMA": "pg_mine"},
        "POSTGRES_SCHEMA: 'pg_mine' is not a schema name of 1 to 63 bytes, not pg_…",
    ),
    "a schema is counted in bytes": (
        {"POSTGRES_SCHEMA": "ü" * 32},
        f"POSTGRES_SCHEMA: '{'ü' * 32}' is not a schema name of 1 to 63 bytes, not pg_…",
    ),
    "a stream's name has a length": (
        {"NATS_STREAM": "A" * 256},
        f"NATS_STREAM: {shown('A' * 256)} is not {NAMES}",
    ),
    "a host's name has a length": (
        {"POSTGRES_HOST": "h" * 4097},
        f"POSTGRES_HOST: {shown('h' * 4097)} is not {HOSTS}",
    ),
    "hosts are names": (
        {"MCP_ALLOWED_HOSTS": "a.example,b c"},
        "MCP_ALLOWED_HOSTS: 'a.example,b c' is not host names with commas, such as api.example.com,*.example.org",
    ),
}


@pytest.mark.parametrize(("env", "line"), COMPLAINTS.values(), ids=COMPLAINTS)
def test_a_bad_value_is_one_line_that_names_the_variable(env, line):
    assert complaint(**env) == line


def test_a_long_value_is_cut():
    assert len(complaint(POSTGRES_PORT="9" * 5000)) < 160


def test_credentials_in_a_nats_url_are_not_echoed():
    assert complaint(NATS_URL=f"http://user:{CANARY}@nats") == (
        "NATS_URL: the value is not one NATS URL or several with commas, such as nats://nats.nats.svc:4222"
    )


@pytest.mark.parametrize("url", ["ws://nats:8080", "nats://nats:4222,wss://nats"])
def test_a_scheme_that_the_nats_client_cannot_is_refused(url):
    assert complaint(NATS_URL=url).startswith("NATS_URL: ")


@pytest.mark.parametrize("name", ["POSTGRES_PASSWORD", "AGENT_EXECUTOR_API_TOKEN", "OPENAI_API_KEY"])
def test_a_secret_that_a_file_ended_is_refused_and_not_echoed(name):
    assert complaint(**{name: f"{CANARY}\n"}) == f"{name}: the value is not one line of text, without a line end"


def test_secrets_never_print():
    given = settings.load(GIVEN | {"OPENAI_API_KEY": CANARY, "NATS_URL": f"nats://u:{CANARY}@nats:4222"})
    assert CANARY not in repr(given) + str(given)
    assert CANARY not in given.model_dump_json(exclude={"nats_url"})
    assert given.openai_api_key.get_secret_value() == CANARY


def test_an_empty_variable_is_unset():
    given = settings.load(GIVEN | {"OPENAI_API_KEY": "", "JOB_MAX_ATTEMPTS": ""})
    assert (given.openai_api_key, given.job_max_attempts) == (None, 5)


def test_lists_are_written_with_commas():
    given = settings.load(GIVEN | {"HTTP_TOOL_ALLOWED_HOSTS": "api.example.com, *.example.org,"})
    assert given.http_tool_allowed_hosts == ("api.example.com", "*.example.org")


def test_the_reference_lists_and_describes_every_setting():
    rows = settings.reference()
    assert [name for name, _, _ in rows] == [name.upper() for name in settings.Settings.model_fields]
    assert {name for name, default, _ in rows if default == "required"} == set(GIVEN)
    assert all(text for _, _, text in rows)


@pytest.mark.parametrize(
    "url",
    [
        f"nats://u:{CANARY}@127.0.0.1:notaport",
        f"nats://u:{CANARY}@127.0.0.1:99999",
        f"nats://u:{CANARY}@127.0.0.1:0",
        f"nats://u:{CANARY}/x@127.0.0.1:4222",
        f"nats://u:12/{CANARY}@127.0.0.1:4222",
        f"nats://u:12?{CANARY}@127.0.0.1:4222",
        f"nats://u:12#{CANARY}@127.0.0.1:4222",
        f"nats://u:{CANARY}@:4222",
        f"nats://u:{CANARY}@[::1:4222",
        f"nats://u:{CANARY}@nats..svc:4222",
        f"nats://u:{CANARY}@{'n' * 64}:4222",
        f"nats://nats:4222, tls://u:{CANARY}@nats:port",
    ],
)
def test_a_nats_url_that_no_client_could_use_stops_the_start_and_is_not_echoed(url):
    said = complaint(NATS_URL=url)
    assert said == "NATS_URL: the value is not one NATS URL or several with commas, such as nats://nats.nats.svc:4222"


@pytest.mark.parametrize(
    "url",
    [
        "nats://nats",
        "nats://u:a%2Fb@nats.nats.svc:4222/",
        "tls://[::1]:4222,nats://10.0.0.1:1",
        "nats://token@nats_1:65535",
        "nats://u:p@ss@bücher.example:4222",
    ],
)
def test_a_nats_url_may_be(url):
    assert settings.load(GIVEN | {"NATS_URL": url}).nats_url == url
