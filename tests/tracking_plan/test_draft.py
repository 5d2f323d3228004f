"""`flask eventtrack catalogue draft`: a definition inferred from what arrived."""

from __future__ import annotations

import builtins
import collections.abc as cabc
import dataclasses
import datetime as dt
import json
import re
import sys
import types
import typing as t
import uuid

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from flask_eventtrack import EventTrack, track
from flask_eventtrack.catalogue.builtin import builtin_catalogue
from flask_eventtrack.catalogue.definitions import Definition
from flask_eventtrack.catalogue.params import normalise
from flask_eventtrack.errors import InvalidEvent
from flask_eventtrack.privacy.masking import Masker
from flask_eventtrack.store.rejected import add_rejected
from flask_eventtrack.tracking_plan.draft import draft
from flask_eventtrack.tracking_plan.samples import MOST, Sample

from ..collector.posts import post
from ..commands import run
from ..conftest import MakeHost
from ..hosts import START, Host

HOSTILE = [
    *(
        "class",
        "None",
        "match",
        "self",
        "cls",
        "type",
        "print",
        "a-b",
        "1st",
        "",
        " ",
        "ﬁ",
        "\u017f",
    ),
    *("__init__", "__class__", "__slots__", "_sa_registry", "__post_init__", "_is_protocol", "_"),
    *("t", "dt", "int", "str", "list", "dict", "dataclass", "events", "mro", "XY", "EventXY"),
    *('"', "'", '"""', "\\", "\n", "\r", "\u2028", "\x00", "a\nimport os", "x: int = 1", "{a}"),
    *("größe", "名前", "\u202e", "#", "%s", "password", "session_id", "jane@example.com", "a" * 64),
    *(
        "model_config",
        "__pydantic_validator__",
        "mask_text",
        "\U0001d4b3",
        "a\u0301",
        "\u02bcn",
        "XYXY",
        "XYItems",
    ),
]
NAMES = (
    st.sampled_from(HOSTILE) | st.text(max_size=8) | st.from_regex(r"[a-z_]{1,6}", fullmatch=True)
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["open", "paid", "EUR", "2026-01-01", "2026-01-01T10:00:00Z", "1"])
    | st.datetimes(timezones=st.just(dt.UTC)).map(dt.datetime.isoformat)
    | st.dates().map(dt.date.isoformat)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
ALIKE = st.lists(NAMES, max_size=4, unique=True).flatmap(
    lambda names: st.lists(
        st.fixed_dictionaries({}, optional=dict.fromkeys(names, VALUES)), min_size=1, max_size=4
    )
)
EVENTS = ALIKE | st.lists(st.dictionaries(NAMES, VALUES, max_size=4), min_size=1, max_size=4)


def make_samples(
    *params: dict[str, t.Any], source: str = "server", people: int = 1
) -> list[Sample]:
    return [Sample(each, source, str(number % people), START) for number, each in enumerate(params)]


def define(source: str, action: str = "x.y", head: str = "") -> Definition:
    """Run a draft in a module of its own, and return what it defines."""
    module = types.ModuleType("drafted")
    sys.modules["drafted"] = module
    events = EventTrack()
    vars(module)["events"] = events
    exec(compile(head + source, "drafted", "exec", dont_inherit=True), vars(module))
    definition = events.catalogue.find(action)
    assert definition is not None
    return definition


def types_of(*params: dict[str, t.Any], **options: t.Any) -> cabc.Mapping[str, str]:
    return define(draft("x.y", make_samples(*params, **options))).types


def store(params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return parameters as they come back from a database."""
    stored: dict[str, t.Any] = json.loads(json.dumps(normalise(params, left_out=[])))
    return {name: value for name, value in stored.items() if value is not None}


def names_of(value: t.Any) -> set[str]:
    """Return the names of all dicts in a value."""
    if isinstance(value, list):
        return set().union(*map(names_of, value))
    if isinstance(value, dict):
        return set(value).union(*map(names_of, value.values()))
    return set()


FUTURE = "from __future__ import annotations\n"


@given(EVENTS, st.sampled_from(["server", "browser", "app"]), st.sampled_from(["", FUTURE]))
@settings(max_examples=100, deadline=None)
@example([{name: 1} for name in HOSTILE], "server", "")
@example([dict.fromkeys(filter(None, HOSTILE), "a"), {}], "server", FUTURE)
@example([{"self": [], "mro": []}], "server", "")
@example([{"XYItems": 1, "items": [{"a": 1}]}, {}], "server", "")
@example([{"items": [dict.fromkeys(filter(None, HOSTILE), 1)]}, {}], "browser", "")
@example([{"Money": 1, "a": {"amount": "1.50", "currency": "EUR"}}, {}], "server", FUTURE)
@example([{"a": {"b": 1, "c": None}}, {"a": {"c": 2**62 + 1, "b": 1.5}}], "app", FUTURE)
def test_a_draft_is_a_definition_that_takes_what_it_was_inferred_from(
    events: list[dict[str, t.Any]], source: str, head: str
) -> None:
    """It can be run, and loses no parameter, whatever clients have sent."""
    stored = [store(params) for params in events]
    text = draft("x.y", make_samples(*stored, source=source))
    assert all(line.isprintable() for line in text.split("\n"))
    definition = define(text, head=head)
    for params in stored:
        checked, undefined = definition.check(params)
        assert names_of(params) <= names_of(checked)
        assert set(undefined).isdisjoint(definition.types)
    assert definition.anonymous is (source != "server")
    assert not definition.server_only


ACTIONS = ["a.b", "none.-", "-.-", "1.2", "class.-", "a.b-c_d", "EventTrack.-", "x." + "y" * 30]


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("params", [{}, {"sku": "A1", "items": [{"id": 1}]}])
def test_every_action_has_a_draft(action: str, params: dict[str, t.Any]) -> None:
    """Whatever the name of its class would be."""
    definition = define(draft(action, make_samples(params)), action)
    assert definition.check(params) == (params, ())


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], "int"),
        ([1, 2.5], "float"),
        ([2**60, 0.5], "int | float"),
        ([2**100, 2**101], "float"),
        ([True, False], "bool"),
        ([True, 1], "bool | int"),
        (["a", "b"], "str"),
        (["a", 1], "int | str"),
        (["2026-01-01T10:00:00Z", "2026-01-02T10:00:00+01:00"], "datetime"),
        (["2026-01-01", "2026-01-02"], "date"),
        (["2026-01-01", "2026-01-02T10:00:00Z"], "str"),
        (["1", "2"], "str"),
        ([["a"], []], "list"),
        ([{"amount": "9.90", "currency": "EUR"}, {"amount": "7", "currency": "JPY"}], "Money"),
        ([{"amount": "9.90", "currency": "EUR"}, {"amount": "x", "currency": "EUR"}], "XYName"),
    ],
)
def test_types_are_those_of_the_values(values: list[t.Any], kind: str) -> None:
    """Those of all of them."""
    text = draft("x.y", make_samples(*({"name": value} for value in values)))
    assert re.sub(r"\[.*|.*\.", "", define(text).types["name"]) == kind


def test_a_draft_reads_well() -> None:
    """Fields that each event has come first; a class comes before its use."""
    items = [{"sku": "A1", "price": 4.5}, {"sku": "B2", "price": 3, "gift": True}]
    text = draft(
        "order.placed",
        make_samples(
            {"order_id": "1", "items": items, "at": "2026-01-01T10:00:00Z", "tags": []},
            {"order_id": "2", "items": items[:1], "coupon": "X", "extra-1": 1, "tags": [None, "a"]},
            source="browser",
        ),
    )
    assert (
        text
        == """\
# Drafted from 2 events, 2026-11-21 to 2026-11-21.
# It accepts what arrived, and may refuse what comes next. Read it before you paste it.
# These parameters cannot be fields, and stay undefined:
#     'extra-1'
import datetime as dt
from dataclasses import dataclass


@dataclass
class OrderPlacedItems:
    # Names that are no fields here are not stored.
    price: float
    sku: str
    gift: bool | None = None  # in 1 of 3


@events.define("order.placed", label="Order: placed {order_id}", anonymous=True)
@dataclass
class OrderPlaced:
    items: list[OrderPlacedItems]
    order_id: str
    tags: list[str | None]
    at: dt.datetime | None = None  # in 1 of 2
    coupon: str | None = None  # in 1 of 2
"""
    )
    assert define(text, "order.placed").anonymous


@pytest.mark.parametrize("action", ["event.track", "type.error", "list.-"])
def test_a_class_hides_nothing_of_the_module_it_is_pasted_into(action: str) -> None:
    """Neither a built-in name nor ours."""
    source = draft(action, make_samples({"a": 1}))
    [name] = re.findall(r"^class (\w+):", source, re.MULTILINE)
    assert name not in {*dir(builtins), "EventTrack"}


def test_an_event_without_parameters_needs_no_class() -> None:
    """Its definition is one line."""
    text = draft("signup.click", make_samples({}, {}, source="app"))
    assert text.endswith('\nevents.define("signup.click", label="Signup: click", anonymous=True)\n')


def test_a_dict_of_many_names_is_no_class() -> None:
    """Its names are data, such as ids, and not to be printed."""
    text = draft("x.y", make_samples(*({"stock": {f"sku{n}": n}} for n in range(9))))
    assert "stock: dict[str, int]" in text
    assert "sku" not in text


STATES = [{"state": ("open", "paid", "void")[number % 3]} for number in range(45)]


def test_choices_are_words_that_several_people_have_sent_often() -> None:
    """Then another word would be refused."""
    text = draft("x.y", make_samples(*STATES, people=10))
    assert '    state: t.Literal["open", "paid", "void"]\n' in text
    with pytest.raises(InvalidEvent, match="invalid enum value"):
        define(text).check({"state": "lost"})


@pytest.mark.parametrize(
    ("values", "people"),
    [
        (["open", "paid", "void"] * 15, 1),  # a person's own words
        (["open", "paid"] * 9, 6),  # few events
        ([*["open"] * 30, *["ada"] * 4], 7),  # a rare one
        (["open"] * 40, 7),  # another one is bound to come
        (["ada@example.com", "paid"] * 20, 7),
        (["Ada Lovelace", "Jane Doe"] * 20, 7),
        (["4111111111111111", "paid"] * 20, 7),
        (["open", "word" * 8] * 20, 7),
        (list("abcdefgh") * 10, 7),
        (["open", "forty-two"] * 20, 7),  # a rule of the app's own
    ],
)
def test_other_texts_are_not_printed(values: list[str], people: int) -> None:
    """They may be personal, or the next event has another one."""
    masker = Masker((re.compile("forty"),))
    samples = make_samples(*({"value": value} for value in values), people=people)
    text = draft("x.y", samples, masker=masker)
    assert "\n    value: str\n" in text
    assert all(value not in text for value in values if len(value) > 1)


def test_names_that_look_like_secrets_are_no_fields() -> None:
    """A field of such a name would end their masking. Personal data in names is masked."""
    samples = make_samples({"session_id": "[masked]", "jane@example.com": 1, "of_jane": 1})
    text = draft("x.y", samples, masker=Masker((re.compile("jane"),)))
    assert define(text).types == {}
    assert "    'session_id'\n" in text
    assert "jane" not in text
    assert "    '[email]'\n" in text
    assert "    'of_[masked]'\n" in text


def test_what_the_script_adds_is_no_field() -> None:
    """A server that sends the same names means them."""
    params = {"title": "Mug", "url": "http://localhost/", "visit": "1", "stars": 5}
    assert types_of(params, source="browser").keys() == {"stars"}
    assert types_of(params).keys() == {"title", "url", "stars"}


# The command


def record(host: Host, action: str, *events: dict[str, t.Any]) -> None:
    with host.app.app_context():
        for params in events:
            track(action, params, customer="7")
            host.clock.advance(hours=1)
    host.flush()


@pytest.fixture
def trying(make: MakeHost, database_url: str) -> Host:
    """A host that stores what is not defined, on each kind of database in turn."""
    return make({"EVENTTRACK_UNDEFINED_EVENTS": "store"}, url=database_url)


def test_the_command_drafts_from_the_events_of_an_action(trying: Host) -> None:
    """Of the server and of browsers; in any hour."""
    record(trying, "order.placed", {"number": 1, "total": 4.0}, {"number": 2, "total": 5.25})
    event = {"action": "order.placed", "params": {"number": 3, "total": 1e300, "gift": True}}
    post(trying.client(), event, {"action": "order.other", "params": {"number": "x"}})
    trying.flush()
    answer = run(trying, "catalogue", "draft", "order.placed")
    assert answer.exit_code == 0, answer.output
    assert answer.output.startswith("# Drafted from 3 events, 2026-11-21 to 2026-11-21.\n")
    assert answer.output.endswith(
        '@events.define("order.placed", label="Order: placed {number}", anonymous=True)\n'
        "@dataclass\n"
        "class OrderPlaced:\n"
        "    number: int\n"
        "    total: float\n"
        "    gift: bool | None = None  # in 1 of 3\n"
    )
    definition = define(answer.output, "order.placed")
    for row in trying.events_of("order.placed"):
        assert definition.check(row["params"])[0].keys() == row["params"].keys()


def test_the_command_reads_a_bounded_number_of_events(make: MakeHost) -> None:
    """The latest ones, and says so."""
    host = make({"EVENTTRACK_UNDEFINED_EVENTS": "store"})
    with host.app.app_context():
        track("a.b", {"old": 1}, customer="7")
        host.clock.advance(minutes=1)
        for _ in range(MOST):
            track("a.b", {"new": 1}, customer="7")
    host.flush()
    answer = run(host, "catalogue", "draft", "a.b")
    assert "    new: int\n" in answer.stdout
    assert "old" not in answer.stdout
    assert answer.stderr == "Only the latest 1,000 events were read.\n"


def test_records_that_the_database_refused_are_read_too(db_host: Host) -> None:
    """Except those that were cut."""
    database = db_host.state.pipeline.database
    payloads = [
        '{"action": "a.b", "params": {"sku": "A1"}, "source": "app"}',
        '{"params": {"',
        "[]",
    ]
    for number, payload in enumerate(payloads):
        row = {"id": uuid.UUID(int=number), "action": "a.b", "reason": "x", "payload": payload}
        with database.begin() as connection:
            add_rejected(connection, database.tables, rejected_at=START, **row)
    text = run(db_host, "catalogue", "draft", "a.b").output
    assert text.startswith("# Drafted from 1 event that the database refused, 2026-11-21 to ")
    assert define(text, "a.b").types == {"sku": "str"}


def test_a_draft_of_a_defined_action_says_so(host: Host) -> None:
    """Apart from the source."""

    @dataclasses.dataclass
    class Did:
        what: str

    host.events.define("a.b")(Did)
    record(host, "a.b", {"what": "x", "why": "y"})
    answer = run(host, "catalogue", "draft", "a.b")
    assert answer.stderr == "'a.b' is defined already: compare the two.\n"
    assert define(answer.stdout, "a.b").types == {"what": "str", "why": "str"}


def test_without_events_there_is_no_draft(host: Host) -> None:
    """The command says how to get some."""
    host.events.define("a.b")
    post(host.client(), {"action": "order.placed"})
    host.flush()
    answer = run(host, "catalogue", "draft", "order.placed")
    assert answer.exit_code == 1
    assert 'Set EVENTTRACK_UNDEFINED_EVENTS to "store"' in answer.output
    answer = run(host, "catalogue", "draft", "a.b")
    assert answer.exit_code == 1
    assert answer.output == "Error: No event 'a.b' is stored, so there is nothing to draft from.\n"


@pytest.mark.parametrize(
    ("action", "code", "problem"),
    [
        ("page.visit", 1, "is built in and cannot be redefined"),
        ("transaction.x", 1, "is built in and cannot be redefined"),
        ("nodot", 2, "with a dot inside"),
        ("\x1b[2J.x", 2, "made of the letters"),
    ],
)
def test_actions_that_nothing_can_define_are_refused(
    host: Host, action: str, code: int, problem: str
) -> None:
    """Before anything is read."""
    answer = run(host, "catalogue", "draft", action)
    assert answer.exit_code == code
    assert problem in answer.output
    assert all(line.isprintable() for line in answer.output.splitlines())


def test_built_in_actions_may_be_drafted() -> None:
    """Those that a host may redefine, with a class of its own."""
    free = [d.action for d in builtin_catalogue() if d.action.startswith(("product.", "cart."))]
    assert len(free) >= 4
    for action in free:
        assert define(draft(action, make_samples({"sku": "A1"})), action).types == {"sku": "str"}
