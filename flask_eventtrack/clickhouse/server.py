"""The server: statements, rows in and rows out. No other module imports ``clickhouse_connect``."""

from __future__ import annotations

import collections.abc as cabc
import io
import os
import typing as t

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError

from .problems import Away, CopyProblem

_NAME = "clickhousedb"
_FORM = "clickhousedb://user:password@host:8123/database"
# Merges of whole partitions take minutes.
_SECONDS = 3600
# The codes of ClickHouse's errors after which it makes no sense to try again.
_UNKNOWN_DATABASE = 81
_REFUSED = {192, 193, 194, 516}
_FORBIDDEN = {164, 497}
_WRONG = {
    *(6, 16, 20, 27, 36, 43, 44, 46, 47, 48, 50, 53, 57, 60, 62, 70, 72, 80, 115, 117, 122, 218),
    *(344, 386, 392, 456),
}
# Rows come in any order of days, and a second attempt may send the same ones.
_INSERTING: dict[str, t.Any] = {
    "async_insert": 0,
    "date_time_input_format": "best_effort",
    "input_format_null_as_default": 1,
    "insert_deduplicate": 0,
    "max_partitions_per_insert_block": 0,
    "optimize_on_insert": 1,
}
# Whoever reads what was noted last must not be told what a replica knows.
_READING: dict[str, t.Any] = {
    "output_format_json_named_tuples_as_objects": 0,
    "output_format_json_quote_64bit_integers": 0,
    "select_sequential_consistency": 1,
}
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[t.Any])


class Server:
    """A connection to a database in ClickHouse.

    :param client: a client of ``clickhouse_connect``.
    :param place: what messages call it; without a password.
    """

    def __init__(self, client: t.Any, place: str, secret: str | None) -> None:
        self._client = client
        self._secret = secret
        self.place = place

    def run(self, statement: str, **settings: t.Any) -> None:
        """Run a statement that returns nothing."""
        with _Explained(self.place, self._secret):
            self._client.command(statement, settings=settings)

    def read(self, query: str, **settings: t.Any) -> list[list[t.Any]]:
        """Return the rows of a query. Ids are texts."""
        return list(self.iterate(query, **settings))

    def iterate(self, query: str, **settings: t.Any) -> cabc.Iterator[list[t.Any]]:
        """Run a query, and make its rows one after the other, for more of them than should be in
        memory."""
        settings = {**_READING, **settings}
        with _Explained(self.place, self._secret):
            answer = self._client.raw_query(query, fmt="JSONCompactEachRow", settings=settings)
        # A server that fails while it answers ends with its error instead of a row.
        if answer and not answer.endswith(b"]\n"):
            raise Away("ClickHouse has broken off its answer.")
        return map(_decoder.decode, io.BytesIO(answer))

    def insert(
        self, table: str, names: cabc.Sequence[str], rows: cabc.Sequence[tuple[t.Any, ...]]
    ) -> None:
        """Insert rows. Texts, numbers, moments and ids are all that they hold."""
        if rows:
            with _Explained(self.place, self._secret):
                self._client.raw_insert(
                    table,
                    names,
                    _encoder.encode_lines(rows),
                    settings=_INSERTING,
                    fmt="JSONCompactEachRow",
                )

    def close(self) -> None:
        self._client.close()


def parse_place(text: str) -> sa.URL:
    """Return the URL of a database in ClickHouse. Its password may come from the environment.

    :raises CopyProblem: it is none.
    """
    try:
        url = sa.make_url(text)
    except ArgumentError:
        raise CopyProblem(f"That is no URL. Write it as {_FORM}.") from None
    if url.get_backend_name() != _NAME:
        raise CopyProblem(f"'{url.drivername}' is not {_NAME}. Write the URL as {_FORM}.")
    if not url.database and "path" not in url.query:
        raise CopyProblem(f"The URL names no database. Write it as {_FORM}.")
    password = os.environ.get("CLICKHOUSE_PASSWORD")
    return url.set(password=password) if url.password is None and password else url


def name_place(url: sa.URL) -> str:
    """Return what messages call a database."""
    port = f":{url.port}" if url.port else ""
    return f"{url.host or ''}{port}/{url.database or url.query.get('path', '')}"


def connect(url: sa.URL, **defaults: t.Any) -> Server:
    """Connect to a database.

    :param url: as :func:`parse_place` returns it. Its query is passed on to ``get_client()``.
    :param defaults: what is passed on unless the URL says otherwise.
    :raises CopyProblem: the package is missing, or the server refuses.
    :raises Away: nothing answers.
    """
    try:
        import clickhouse_connect
    except ImportError:
        raise CopyProblem(
            'It needs clickhouse-connect: pip install "Flask-EventTrack[clickhouse]".'
        ) from None
    secret = None if url.password is None else str(url.password)
    options: dict[str, t.Any] = {
        "send_receive_timeout": _SECONDS,
        **defaults,
        **url.query,
        "host": url.host,
        "port": url.port,
        "username": url.username,
        "password": secret,
        "database": url.database,
    }
    if "path" in url.query:  # a folder of chdb, ClickHouse in this process
        options = {**url.query, **({"database": url.database} if url.database else {})}
    else:
        options["autogenerate_session_id"] = False
    with _Explained(name_place(url), secret):
        client = clickhouse_connect.get_client(**options)
    return Server(client, name_place(url), secret)


class _Explained:
    """Says in a sentence what is wrong, without the password."""

    def __init__(self, place: str, secret: str | None) -> None:
        self._place = place
        self._secret = secret

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is None or not type(error).__module__.startswith("clickhouse_connect."):
            return
        code = getattr(error, "code", None)
        text = str(error) if code else _find_cause(error)
        if self._secret:
            text = text.replace(self._secret, "…")
        raise _explain(code, text, self._place) from None


def _explain(code: int | None, text: str, place: str) -> CopyProblem:
    if code in _REFUSED:
        return CopyProblem(
            "ClickHouse refuses the user or the password. The password may also be in the "
            "environment, as CLICKHOUSE_PASSWORD."
        )
    if code == _UNKNOWN_DATABASE:
        name = place.rpartition("/")[2]
        return CopyProblem(
            f"ClickHouse has no database {name!r}. Create it first: CREATE DATABASE {name}."
        )
    if code in _FORBIDDEN:
        return CopyProblem(
            "The user may not do that. It needs the rights to create, drop, rename and optimize "
            f"tables of this database, and to read and insert: {text}"
        )
    if code is None:
        return Away(f"ClickHouse does not answer: {text}.")
    kind = CopyProblem if code in _WRONG else Away
    return kind(f"ClickHouse reports an error: {text}")


def _find_cause(error: BaseException) -> str:
    """Return why a connection has failed, without its URL."""
    found: BaseException | None = error
    while found is not None:
        if isinstance(found, OSError) and found.strerror:
            return found.strerror
        reason = getattr(found, "reason", None)
        inner = reason if isinstance(reason, BaseException) else None
        found = inner or found.__cause__ or found.__context__
    return "the connection has failed"
