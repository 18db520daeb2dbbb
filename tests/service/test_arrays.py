import psycopg
import pytest

from agent_executor.services.arrays import Blobs, Integers, Texts

ARRAYS = {
    "texts": (Texts(["a", "", 'é\n\t\\"{},NULL', None, "x" * 100_000]), "text[]"),
    "no texts": (Texts(), "text[]"),
    "only a null": (Texts([None]), "text[]"),
    "blobs": (Blobs([b"", b"\0\xff{},", bytes(range(256)) * 1000]), "bytea[]"),
    "no blobs": (Blobs(), "bytea[]"),
    "integers": (Integers([0, -1, 2**63 - 1, -(2**63)]), "bigint[]"),
    "no integers": (Integers(), "bigint[]"),
}


@pytest.mark.parametrize(("array", "kind"), ARRAYS.values(), ids=ARRAYS)
def test_an_array_arrives_as_it_was(database, array, kind):
    with psycopg.connect(database.dsn) as connection:
        cursor = connection.execute(f"SELECT %s::{kind}, pg_typeof(%s)::text", (array, array), binary=True)
        assert cursor.fetchone() == (list(array), kind)


@pytest.mark.parametrize(("text", "error"), {"\ud800": UnicodeEncodeError, "a\0b": psycopg.DataError}.items())
def test_a_text_that_postgresql_cannot_hold_is_an_error_of_its_own(database, text, error):
    with psycopg.connect(database.dsn) as connection, pytest.raises(error):
        connection.execute("SELECT %s::text[]", (Texts([text]),))
