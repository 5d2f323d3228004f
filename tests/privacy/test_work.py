"""Cleaning takes little work, whatever is sent: counted as texts that are masked."""

from __future__ import annotations

import typing as t

import pytest

from ..conftest import MakeHost
from ..hosts import NAVIGATION, SAME_ORIGIN, Host

UNITS = ("a%25253D@a?", "@%25253D@%41;?+", "%2561%2B=%25252B@&", "a%253Db&", "%253Fa%253D@b%2526")


def repeat(unit: str, length: int) -> str:
    return ("?" + unit * (length // len(unit) + 1))[:length]


@pytest.fixture
def counted(make: MakeHost) -> tuple[Host, list[str]]:
    """A host whose own rule of masking notes each text."""
    texts = list[str]()

    def note(text: str) -> str:
        texts.append(text)
        return text

    return make({"EVENTTRACK_MASK": [note]}), texts


def post(host: Host, *events: dict[str, t.Any]) -> None:
    answer = host.client().post("/_et/in", json={"events": events}, headers=SAME_ORIGIN)
    assert {result["status"] for result in answer.get_json()["results"]} == {"accepted"}


@pytest.mark.parametrize("length", [62_000, 1200, 300])
@pytest.mark.parametrize("unit", UNITS)
def test_post_of_64_kilobytes_takes_little_work(
    counted: tuple[Host, list[str]], unit: str, length: int
) -> None:
    """In one long label, or in many short texts."""
    host, texts = counted
    link = repeat(unit, length)
    if length > 32_000:
        events: list[dict[str, t.Any]] = [{"action": "button.click", "label": link}]
    else:
        count = 62_000 // length
        params = [{"text": f"{n}{link}", "url": f"http://h/{n}{link}"} for n in range(count // 2)]
        events = [{"action": "button.click", "params": each} for each in params[:100]]
    post(host, *events)
    host.rows("event")
    assert len(texts) < 12_500
    assert sum(map(len, texts)) < 500_000


@pytest.mark.parametrize("unit", UNITS)
def test_page_request_takes_little_work(counted: tuple[Host, list[str]], unit: str) -> None:
    """With a query and a referrer of 4 KB."""
    host, texts = counted
    link = repeat(unit, 4000)
    headers = {**NAVIGATION, "Referer": f"http://h/{link}"}
    host.client().get("/", query_string=link[1:], headers=headers)
    assert len(texts) < 2000
    [visit] = host.events_of("page.visit")
    assert visit["params"]["url"] == "http://localhost/?[masked]"
    assert visit["params"]["referrer"] == "http://h/?[masked]"


def test_links_beyond_a_texts_limit_are_masked(host: Host) -> None:
    """The words around them stay."""
    text = "see /a?b=c and " + "x?a=1&b=2 " * 200
    post(host, {"action": "button.click", "params": {"text": text}})
    [row] = host.events_of("button.click")
    assert row["params"]["text"] == "see /[masked] and " + "[masked] " * 200


def test_links_beyond_a_posts_limit_are_masked(host: Host) -> None:
    """URLs keep their path. Other posts are stored as ever."""
    link = "/a?b=c" + "&b=c" * 200
    url = f"http://h{link}"
    click = {"action": "button.click", "params": {"url": url}}
    many = {"action": "button.click", "params": {str(n): f"{n}{link}" for n in range(20)}}
    for events in ([many, click], [click]):
        post(host, *events)
    stored = [row["params"] for row in host.events_of("button.click")]
    [masked] = [params for params in stored if "0" in params]
    assert masked["0"] == f"0{link}"
    assert masked["19"] == "[masked]"
    urls = sorted(params["url"] for params in stored if "url" in params)
    assert urls == ["http://h/a", url]


def test_post_of_a_hundred_visits_is_stored_in_full(host: Host) -> None:
    """As a browser sends them that was offline for a while."""
    url = "http://h/products/mug?utm_source=news&utm_medium=email&n="
    events = [{"action": "button.click", "params": {"url": f"{url}{n}"}} for n in range(100)]
    post(host, *events)
    assert {row["params"]["url"] for row in host.events_of("button.click")} == {
        f"{url}{n}" for n in range(100)
    }
