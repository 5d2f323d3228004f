"""The reference of settings, Python names and tables says what the source says."""

from __future__ import annotations

import collections
import dataclasses
import importlib
import pathlib
import re
import typing as t

import pytest
import sqlalchemy as sa
from blinker import NamedSignal

import flask_eventtrack
from flask_eventtrack import config, errors, signals
from flask_eventtrack.store.tables import Tables

DOCS = next(p for p in pathlib.Path(__file__).parents if (p / "docs").is_dir()) / "docs"
PAGES = ["errors", "python-api", "settings"]
SETTINGS = [config.PREFIX + field.name.upper() for field in dataclasses.fields(config.Config)]
ERRORS = [name for name, value in vars(errors).items() if isinstance(value, type)]
SIGNALS = [name for name, value in vars(signals).items() if isinstance(value, NamedSignal)]


@pytest.fixture
def reference(monkeypatch: pytest.MonkeyPatch) -> t.Any:
    """The module that writes the pages."""
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    return importlib.import_module("reference")


def read(page: str) -> str:
    return (DOCS / f"reference/{page}.md").read_text()


def find_headings(page: str) -> list[str]:
    return re.findall(r"^#{2,4} ([\w.]+)(?:\(\))?$", read(page), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_the_source_says(reference: t.Any, page: str) -> None:
    """Signatures, types, defaults and docstrings are today's; ``make reference`` writes them."""
    assert reference.write_page(DOCS / f"reference/{page}.md") == read(page)


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("settings", SETTINGS),
        ("errors", ERRORS),
        ("signals", SIGNALS),
        ("python-api", flask_eventtrack.__all__),
    ],
)
def test_every_name_has_one_entry(page: str, names: list[str]) -> None:
    """Each setting, error, signal and name of ``__all__`` has a heading of its own."""
    found = collections.Counter(find_headings(page))
    assert {name: found[name] for name in names} == dict.fromkeys(names, 1)


def test_every_setting_is_described(reference: t.Any) -> None:
    """Each entry has a type, a default and a meaning."""
    for name in SETTINGS:
        assert re.search(r"Type: \S.*\. Default: `.+`\.\n\n\S", reference.write_setting(name)), name


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("SESSION_TIMEOUT", "Type: `timedelta`, or a number of seconds. "),
        ("SESSION_TIMEOUT", "Default: `timedelta(minutes=30)`."),
        ("FLUSH_INTERVAL", "Default: `timedelta(seconds=0.5)`."),
        ("JOURNAL_MAX_BYTES", "Default: `256 * 1024 * 1024`."),
        ("COOKIE_SECURE", 'Type: `bool` or `"auto"`. Default: `"auto"`.'),
        ("ALLOWED_ORIGINS", "Type: list of `str`. Default: `[]`."),
    ],
)
def test_defaults_are_written_as_people_set_them(name: str, line: str) -> None:
    """A default can be pasted into a configuration."""
    entry = read("settings").partition(f"### EVENTTRACK_{name}\n")[2]
    assert line in entry.partition("<!-- end -->")[0]


def test_every_error_has_its_place_in_the_tree() -> None:
    """The tree at the head of the page shows each class."""
    tree = read("errors").partition("```text")[2].partition("```")[0]
    assert sorted(re.findall(r"(\w+)(?: \(|$)", tree, re.MULTILINE)) == sorted(ERRORS)


TABLES = Tables.for_metadata(sa.MetaData(), has_log=True, has_stream=True).all()


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_index_is_listed(table: sa.Table) -> None:
    """A table's section lists its indexes, each with its columns in order."""
    section = read("tables").partition(f"## {table.name}\n")[2].partition("\n## ")[0]
    listed = re.search(r"^Index(?:es)?: (.*?)\.$", section, re.MULTILINE | re.DOTALL)
    entries = [re.findall(r"`(\w+)`", part) for part in listed[1].split(";")] if listed else []
    assert sorted(entries) == sorted([c.name for c in index.columns] for index in table.indexes)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_column_is_public_or_internal(table: sa.Table) -> None:
    """The head of the page says it of each table, and sections of public ones of each column."""
    head, _, rest = read("tables").partition("\n## ")
    [kind] = re.findall(rf"^\| \[`{table.name}`\].* \| (public|internal) \|$", head, re.MULTILINE)
    section = rest.partition(f"## {table.name}\n")[2].partition("\n## ")[0]
    row = r"^\| `(\w+)` \| [^|]+ \| (public|internal) \| .*\|$"
    kinds = dict(re.findall(row, section, re.MULTILINE))
    columns = [column.name for column in table.columns] if kind == "public" else []
    assert list(kinds) == columns
    # What identifies a row is public where anything of it is.
    assert {kinds[column.name] for column in table.primary_key if kinds} <= {"public"}


def test_every_table_is_listed() -> None:
    """The head of the page counts the tables and links to each section."""
    head = read("tables").partition("\n## ")[0]
    assert re.findall(r"^\| \[`(\w+)`\]", head, re.MULTILINE) == [table.name for table in TABLES]
    assert len(TABLES) == 25 + 3 + 1
    assert "There are twenty-five tables, and three more with" in head
    names = [field.name for field in dataclasses.fields(Tables)]
    assert [name for name in names if f"`{name}`" not in read("python-api")] == []
