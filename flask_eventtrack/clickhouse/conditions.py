"""The conditions of reports as ClickHouse writes them, and values as texts in its SQL."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import typing as t

import sqlalchemy as sa
from sqlalchemy.engine import default
from sqlalchemy.sql import compiler, operators

from ..reports.conditions import LONG, Conditions
from ..store.tables import Tables

_True = sa.ColumnElement[bool]
#: The tables under the names that they have there.
TABLES: t.Final = Tables.for_metadata(sa.MetaData())
#: The whole seconds that a session lasted.
SECONDS: t.Final = (
    "toInt64(floor((toUnixTimestamp64Micro(last_seen_at) - toUnixTimestamp64Micro(started_at))"
    " / 1000000))"
)
_ESCAPES = str.maketrans({"\\": "\\\\", "'": "\\'", "\0": "\\0"})


class CopyConditions(Conditions):
    """The same conditions on the tables of the copy, without those of the host's database."""

    def __init__(self, *args: t.Any, **options: t.Any) -> None:
        super().__init__(*args, **{**options, "tables": TABLES, "dialect_name": _Dialect.name})

    def _contains(self, column: sa.ColumnElement[t.Any], value: str) -> _True:
        place = sa.func.position(sa.func.lowerUTF8(column), sa.func.lowerUTF8(value))
        return place > 0

    def _is_customer(self) -> _True:
        """By the version of the uuid: there is no table of profiles."""
        text = sa.func.toString(self._tables.session.c.person)
        return sa.func.substring(text, 15, 1) == "5"

    def _seconds(self) -> sa.ColumnElement[t.Any]:
        return sa.literal_column(SECONDS)

    def _has_event(
        self,
        actions: cabc.Collection[str],
        window: tuple[dt.datetime, dt.datetime] | None,
        conditions: cabc.Iterable[_True] = (),
    ) -> _True:
        """Return the condition that a session has an event.

        Events are sorted by their action and by when they were stored.
        """
        event = self._event
        having = sa.select(event.session_id).where(
            event.action.in_(sorted(actions)),
            event.source != "bot",
            event.session_id.is_not(None),
            *conditions,
        )
        if window is not None:
            having = having.where(event.stored_at >= window[0] - 2 * LONG)
            having = having.where(event.time >= window[0] - LONG)
        return self._tables.session.c.id.in_(having)


class _Compiler(compiler.SQLCompiler):
    """Writes values into the text, since the number of parameters in a URL is limited."""

    def render_literal_value(self, value: t.Any, type_: sa.types.TypeEngine[t.Any]) -> str:
        return write(value)

    def visit_alias(self, alias: t.Any, *args: t.Any, **kw: t.Any) -> t.Any:
        text = super().visit_alias(alias, *args, **kw)  # type: ignore[no-untyped-call]
        return f"{text} FINAL" if kw.get("asfrom") else text

    def visit_cast(self, cast: sa.Cast[t.Any], **kw: t.Any) -> str:
        if isinstance(cast.type, sa.Double):
            return f"toFloat64OrNull({self.process(cast.clause, **kw)})"
        # What is cast may be unknown.
        return (
            f"CAST({self.process(cast.clause, **kw)} AS Nullable({self.process(cast.typeclause)}))"
        )

    def visit_regexp_match_op_binary(
        self, binary: sa.BinaryExpression[t.Any], operator: t.Any, **kw: t.Any
    ) -> str:
        return f"match({self.process(binary.left, **kw)}, {self.process(binary.right, **kw)})"

    def visit_json_getitem_op_binary(
        self, binary: sa.BinaryExpression[t.Any], operator: t.Any, **kw: t.Any
    ) -> str:
        """Return a text as it is, and any other value as its JSON; NULL if there is none."""
        path, place = list[str](), t.cast("sa.ColumnElement[t.Any]", binary)
        while (
            isinstance(place, sa.BinaryExpression) and place.operator is operators.json_getitem_op
        ):
            path.insert(0, self.process(place.right, **kw))
            place = place.left
        value = ", ".join((self.process(place, **kw), *path))
        return (
            f"multiIf(JSONType({value}) = 'String', JSONExtractString({value}), "
            f"JSONType({value}) = 'Null', NULL, JSONExtractRaw({value}))"
        )


class _Dialect(default.DefaultDialect):
    name = "clickhouse"
    statement_compiler = _Compiler
    supports_native_boolean = True


_DIALECT = _Dialect(paramstyle="named")


def render(*conditions: sa.ColumnElement[t.Any]) -> str:
    """Return conditions that are all to be met as SQL, in parentheses."""
    return f"({render_value(sa.and_(sa.true(), *conditions))})"


def render_value(value: sa.ColumnElement[t.Any]) -> str:
    """Return an expression as SQL."""
    return str(value.compile(dialect=_DIALECT, compile_kwargs={"literal_binds": True}))


def write(value: object) -> str:
    """Return a value as SQL.

    Of a text, the backslash, the quote and NUL are all that means something between quotes.
    """
    match value:
        case str():
            return f"'{value.translate(_ESCAPES)}'"
        case dt.datetime():
            return f"toDateTime64('{value.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S.%f}', 6, 'UTC')"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return repr(value)
    raise TypeError(f"{type(value)} is not written in a condition.")
