from __future__ import annotations

import time
import typing as t

import pytest
from playwright.sync_api import Page

from .conftest import TIMEOUT, Site

Params = dict[str, t.Any]
FLUSH = "() => new Promise(done => eventtrack.push(et => et.flush().then(done)))"
# A file has started once an import that came after the core's is done.
IMPORT = """name => {
    const { src } = document.querySelector("script[integrity]");
    return import(new URL(name, src)).then(() => {});
}"""
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    const value = hidden ? "hidden" : "visible";
    Object.defineProperty(document, "visibilityState", { value, configurable: true });
    document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
}"""


def open_page(site: Site, page: Page, name: str) -> None:
    """Open one of the tagged pages, and wait until the second file watches it."""
    with page.expect_response("**/more.js"):
        page.goto(f"{site.url}/tagged/{name}")
    page.evaluate(IMPORT, "./more.js")
    page.evaluate(IMPORT, "./tagged.js")


def tracked(site: Site, page: Page, **expected: int) -> list[tuple[str, Params]]:
    """Return actions and params, in order, once there are exactly these and a visit."""
    page.evaluate(FLUSH)
    rows = site.await_actions(page_visit=1, session_start=1, **expected)
    return [
        (
            row["action"],
            {k: v for k, v in row["params"].items() if k not in {"url", "title", "visit"}},
        )
        for row in rows
        if row["action"] not in {"page.visit", "session.start"}
    ]


def await_count(site: Site, action: str, count: int) -> list[Params]:
    """Return the params of the events of an action, in order, once there are so many."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        rows = [row for row in site.rows("event", "time", "id") if row["action"] == action]
        if len(rows) == count:
            return [row["params"] for row in rows]
        time.sleep(0.05)
    raise AssertionError(f"{rows}\n{site.log()}")


# Clicks


def test_click_brings_the_attributes(site: Site, page: Page) -> None:
    """A click on an inner element counts for the tagged one; parameters keep their types."""
    open_page(site, page, "clicks")
    page.click("#inner")
    [(_, params)] = tracked(site, page, note_add=1)
    assert params == {
        "plan": "pro",
        "count": 12,
        "share": 1.5,
        "is_new": True,
        "code": "007",
        "huge": "12345678901234567890",
        "none": "",
        "loss": -3,
    }
    [row] = [row for row in site.rows("event") if row["action"] == "note.add"]
    assert row["label"] == "Bought"


def test_tag_without_an_action_is_the_built_in_one(site: Site, page: Page) -> None:
    """Buttons and links, of HTML and SVG, with what the built-in events need."""
    open_page(site, page, "clicks")
    page.click("#plain")
    page.click("#send")
    page.click("#dead")
    page.evaluate(
        "document.getElementById('svg-link').addEventListener('click', e => e.preventDefault())"
    )
    page.click("#svg-link text")
    assert tracked(site, page, button_click=2, link_click=2) == [
        ("button.click", {"id": "plain", "text": "A plain button"}),
        ("button.click", {"id": "send", "text": "Send it"}),
        ("link.click", {"id": "dead", "href": f"{site.url}/tagged/clicks#here", "text": "Here"}),
        ("link.click", {"id": "svg-link", "href": f"{site.url}/other", "text": "Go"}),
    ]


def test_click_counts_in_shadow_svg_and_behind_stopped_events(site: Site, page: Page) -> None:
    """Neither shadow roots, SVG shapes nor the page's own listeners hide a click."""
    open_page(site, page, "clicks")
    page.click("#host b")
    page.click("#circle")
    page.click("#hostile")
    assert [params["from"] for _, params in tracked(site, page, note_add=3)] == [
        "shadow",
        "svg",
        "hostile",
    ]


def test_click_on_a_label_counts_once(site: Site, page: Page) -> None:
    """The browser clicks the label's field as well; that is the same click."""
    open_page(site, page, "clicks")
    page.click("#label", position={"x": 30, "y": 8})
    page.click("#box")
    assert not page.is_checked("#box")
    tracked(site, page, note_add=2)


def test_keyboard_and_middle_click_count_and_a_right_click_does_not(site: Site, page: Page) -> None:
    """What opens a link counts; a middle click on a button does nothing."""
    open_page(site, page, "clicks")
    page.evaluate("addEventListener('auxclick', event => event.preventDefault())")
    page.click("#dead", button="middle")
    page.click("#dead", button="right")
    page.click("#plain", button="middle")
    page.click("#plain", button="right")
    page.focus("#plain")
    page.keyboard.press("Enter")
    page.focus("#dead")
    page.keyboard.press("Enter")
    actions = [action for action, _ in tracked(site, page, button_click=1, link_click=2)]
    assert actions == ["link.click", "button.click", "link.click"]


def test_what_is_skipped_or_untagged_is_not_counted(site: Site, page: Page) -> None:
    """`data-eventtrack-skip` on an ancestor is enough."""
    open_page(site, page, "clicks")
    page.click("#skipped")
    page.click("#untagged")
    assert tracked(site, page) == []


def test_elements_that_come_later_count(site: Site, page: Page) -> None:
    """One listener hears all of them."""
    open_page(site, page, "empty")
    page.evaluate("document.body.innerHTML = '<button data-eventtrack=note.add>Late</button>'")
    page.click("button")
    tracked(site, page, note_add=1)


def test_click_that_leaves_the_page_is_not_lost(site: Site, page: Page) -> None:
    """The navigation is not held up, and the event arrives."""
    open_page(site, page, "clicks")
    page.click("#link span")
    page.wait_for_url("**/other**")
    rows = site.await_actions(page_visit=2, session_start=1, link_click=1)
    [link] = [row for row in rows if row["action"] == "link.click"]
    assert link["params"]["href"] == f"{site.url}/other?a=1#b"
    assert link["params"]["url"] == f"{site.url}/tagged/clicks"


def click(id_: str, href: str, text: str) -> Params:
    return {"id": id_, "href": href, "text": text}


def test_links_that_leave_and_downloads_count_where_the_body_says_so(
    site: Site, page: Page
) -> None:
    """A link that is tagged itself is not counted twice; one within a tagged element is."""
    open_page(site, page, "links")
    for name in ("inside", "bold", "mail", "file", "download", "tagged", "within", "skipped"):
        page.click(f"#{name}")
    found = tracked(site, page, link_click=4, note_add=2)
    found[4:] = sorted(found[4:], key=str)  # of one click, and so of one millisecond
    assert found == [
        ("link.click", click("outside", "http://elsewhere.test/page?q=1", "Out side")),
        ("link.click", click("file", f"{site.url}/files/List.PDF?v=2", "A list")),
        ("link.click", click("download", f"{site.url}/other", "A file")),
        ("note.add", {}),
        ("link.click", click("within", "http://elsewhere.test/within", "Within")),
        ("note.add", {}),
    ]


# Forms


def test_form_sends_its_tagged_fields_alone(site: Site, page: Page) -> None:
    """Names that hide the form's properties do no harm; secrets stay where they are."""
    open_page(site, page, "form")
    page.evaluate("document.querySelector('#go').click()")  # the fields' names confuse Playwright
    [(_, params)] = tracked(site, page, form_submit=1)
    assert params == {
        "form": "order",
        "kind": "test",
        "id": "clobbers",
        "clobber": "too",
        "amount": 3,
        "zip": "00123",
        "ref": "mail",
        "terms": True,
        "news": False,
        "topic": ["mugs"],
        "size": "m",
        "colour": "green",
        "days": ["Tu", "We"],
        "words": "w" * 500,
        "late": "outside",
    }


def test_form_that_is_not_valid_is_not_submitted(site: Site, page: Page) -> None:
    """Unless it says `novalidate`."""
    open_page(site, page, "form")
    page.click("#try")
    page.click("#try-free")
    page.click("#skipped")
    page.click("#untagged")
    page.fill("#needed", "here")
    page.press("#needed", "Enter")
    assert tracked(site, page, form_start=1, form_submit=2) == [
        ("form.submit", {"form": "free", "needed": ""}),
        ("form.start", {"form": "required"}),
        ("form.submit", {"form": "required", "needed": "here"}),
    ]


# Forms that are begun


def test_form_that_is_begun_and_left_says_where(site: Site, page: Page) -> None:
    """Once each a visit, with the name of the field that was changed last, and no value."""
    open_page(site, page, "begin")
    page.fill("#first", "Ada")
    page.fill("#last", "Lovelace")
    page.select_option("#topic", "tea")
    page.fill("#outside", "5")
    page.fill("#skipped", "x")
    page.fill("#other", "x")
    page.fill("#own", "x")
    page.goto(f"{site.url}/other")
    rows = site.await_actions(page_visit=2, session_start=1, form_start=1, form_abandon=1)
    found = {row["action"]: row for row in rows}
    start, left = found["form.start"], found["form.abandon"]
    names = {"url", "title", "visit"}
    assert {k: v for k, v in start["params"].items() if k not in names} == {"form": "order"}
    assert {k: v for k, v in left["params"].items() if k not in names} == {
        "form": "order",
        "field": "late",
    }
    assert start["params"]["visit"] == left["params"]["visit"]
    assert (start["label"], left["label"]) == ("Began form order", "Left form order")


def test_form_that_is_sent_is_not_abandoned(site: Site, page: Page) -> None:
    """Also if a field is changed once more."""
    open_page(site, page, "begin")
    page.fill("#first", "Ada")
    page.click("#go")
    page.fill("#first", "Bob")
    page.goto(f"{site.url}/other")
    site.await_actions(page_visit=2, session_start=1, form_start=1, form_submit=1)


@pytest.mark.parametrize("secret", ["password", "card", "pin", "shown"])
def test_secret_field_is_not_named(site: Site, page: Page, secret: str) -> None:
    """Where the form was left is then not told; nor is the field before it."""
    open_page(site, page, "begin")
    page.fill("#first", "Ada")
    page.evaluate("document.querySelector('#shown').type = 'text'")
    page.fill(f"#{secret}", "1234")
    page.goto(f"{site.url}/other")
    rows = site.await_actions(page_visit=2, session_start=1, form_start=1, form_abandon=1)
    [left] = [row["params"] for row in rows if row["action"] == "form.abandon"]
    assert left["form"] == "order"
    assert "field" not in left
    assert "1234" not in str(rows)


def test_form_of_a_hidden_page_is_abandoned_after_a_minute(site: Site, page: Page) -> None:
    """Who comes back sooner goes on with it; and it is left only once."""
    open_paused(site, page, "begin")
    page.fill("#first", "Ada")
    page.evaluate(HIDE, True)
    page.clock.run_for(50_000)
    page.evaluate(HIDE, False)
    page.clock.run_for(20_000)
    assert tracked(site, page, form_start=1) == [("form.start", {"form": "order"})]
    page.fill("#last", "Lovelace")
    page.evaluate(HIDE, True)
    page.clock.run_for(61_000)
    page.evaluate(FLUSH)
    [left] = await_count(site, "form.abandon", 1)
    assert left["field"] == "last"
    page.goto(f"{site.url}/other")
    site.await_actions(page_visit=2, session_start=1, form_start=1, form_abandon=1)


def test_form_is_begun_again_on_the_page_that_follows(site: Site, page: Page) -> None:
    """A single-page app may show the same form on each page."""
    open_page(site, page, "begin")
    page.fill("#first", "Ada")
    page.evaluate("() => { eventtrack.page() }")
    page.fill("#last", "Lovelace")
    page.evaluate("() => { eventtrack.page() }")
    page.evaluate(FLUSH)
    rows = site.await_actions(page_visit=3, session_start=1, form_start=2, form_abandon=2)
    for action in ("form.start", "form.abandon"):
        visits = [row["params"]["visit"] for row in rows if row["action"] == action]
        assert len(set(visits)) == 2
    fields = {row["params"]["field"] for row in rows if row["action"] == "form.abandon"}
    assert fields == {"first", "last"}


def test_form_in_a_shadow_root_is_begun(site: Site, page: Page) -> None:
    """Its fields are heard outside of the root."""
    open_page(site, page, "shadow")
    page.click("#deep")
    page.fill("#topic", "mugs")
    page.goto(f"{site.url}/other")
    rows = site.await_actions(
        page_visit=2, session_start=1, note_add=1, form_start=1, form_abandon=1
    )
    [left] = [row["params"] for row in rows if row["action"] == "form.abandon"]
    assert (left["form"], left["field"]) == ("order", "topic")


# Views

# Observers are told in the order in which they were made: the script's has been, too.
SEE = """selector => new Promise(done =>
    new IntersectionObserver(() => done()).observe(document.querySelector(selector)))"""


def open_paused(site: Site, page: Page, name: str) -> None:
    """Open a tagged page whose time stands still, but for what a test lets it run."""
    page.clock.install()
    page.clock.pause_at(time.time() + 60)
    open_page(site, page, name)
    page.clock.run_for(100)  # the second file waits until the browser is idle
    page.evaluate(IMPORT, "./tagged.js")


def look(page: Page, selector: str, milliseconds: int) -> None:
    """Let so much time go by from when the script knows what of an element is in view."""
    page.evaluate(SEE, selector)
    page.clock.run_for(milliseconds)


def test_view_counts_once_a_page_visit(site: Site, page: Page) -> None:
    """Half of it for a second, or what its attributes say; again on the page that follows."""
    open_paused(site, page, "views")
    look(page, "#top", 500)
    ids = [params.get("id", action) for action, params in tracked(site, page, note_add=1)]
    assert ids == ["note.add"]
    page.clock.run_for(700)
    assert len(tracked(site, page, note_add=1, element_view=1)) == 2
    page.clock.run_for(5000)
    page.evaluate("() => { eventtrack.page() }")
    look(page, "#top", 1500)
    page.evaluate(FLUSH)
    rows = site.await_actions(page_visit=2, session_start=1, note_add=2, element_view=2)
    views = [row for row in rows if row["action"] == "element.view"]
    assert {row["label"] for row in views} == {"Saw the top"}
    assert len({row["params"]["visit"] for row in views}) == 2


def scroll(page: Page, selector: str, offset: int) -> None:
    """Scroll so that the top of an element is so far below the top of the window."""
    page.evaluate(
        "([selector, offset]) => scrollTo(0,"
        "document.querySelector(selector).getBoundingClientRect().top + scrollY - offset)",
        [selector, offset],
    )


def test_view_needs_its_share_of_element_or_window(site: Site, page: Page) -> None:
    """Half of an element that is taller than the window is what fills half of the window."""
    steps: list[tuple[str, int, set[str]]] = [
        ("#half", 630, {"whole"}),  # the window is 720 high, each element but #tall 200
        ("#half", 610, {"whole", "half"}),
        ("#whole", 530, set()),
        ("#whole", 520, {"whole"}),
        ("#tall", 370, set()),
        ("#tall", 350, {"tall"}),
        ("#tall", -1000, {"tall"}),
    ]
    open_paused(site, page, "views")
    for selector, offset, _ in steps:
        scroll(page, selector, offset)
        page.evaluate("() => { eventtrack.page() }")
        look(page, selector, 1500)
    page.evaluate(FLUSH)
    await_count(site, "element.view", 6)
    rows = site.rows("event", "id")  # the page's time, which runs faster than the server's
    pages = [str(row["id"]) for row in rows if row["action"] == "page.visit"][1:]
    views = [row["params"] for row in rows if row["action"] == "element.view"]
    found = [{view["id"] for view in views if view["visit"] == page} for page in pages]
    assert found == [seen for _, _, seen in steps]


def test_view_needs_a_page_in_view(site: Site, page: Page) -> None:
    """A hidden page's elements are not seen; the time starts again when it is shown."""
    open_paused(site, page, "patient")
    look(page, "#patient", 3900)
    page.evaluate(HIDE, True)
    look(page, "#patient", 4500)
    assert tracked(site, page) == []
    page.evaluate(HIDE, False)
    look(page, "#patient", 3900)
    assert tracked(site, page) == []
    page.clock.run_for(200)
    assert tracked(site, page, element_view=1) == [("element.view", {"id": "patient"})]


def test_view_finds_elements_that_come_later(site: Site, page: Page) -> None:
    """Wherever in the added nodes they are."""
    open_page(site, page, "empty")
    page.evaluate("""() => {
        const section = document.createElement("section");
        section.innerHTML = "<p><b id=late data-eventtrack-view>x</b></p>";
        document.body.append(section);
    }""")
    page.wait_for_timeout(1500)
    assert tracked(site, page, element_view=1) == [("element.view", {"id": "late"})]


# Hover


def rest_on(page: Page, selector: str, milliseconds: int) -> None:
    page.hover(selector)
    page.clock.run_for(milliseconds)


def test_hover_sends_its_dwell(site: Site, page: Page) -> None:
    """Moving among its children is staying; a shorter rest is none."""
    open_paused(site, page, "hovers")
    rest_on(page, "#banner", 100)
    page.hover("#away")
    rest_on(page, "#one", 200)
    rest_on(page, "#two", 200)
    rest_on(page, "#banner", 100)
    rest_on(page, "#slow", 1100)
    rest_on(page, "#skipped", 100)
    page.hover("#away")
    (first, banner), (second, slow) = tracked(site, page, banner_hover=1, element_hover=1)
    assert (first, second) == ("banner.hover", "element.hover")
    assert (banner["id"], slow["id"]) == ("spring", "slow")
    assert 500 <= banner["dwell_ms"] < 2000
    assert 1100 <= slow["dwell_ms"] < 3000


def test_hover_ends_when_the_page_is_left(site: Site, page: Page) -> None:
    """The pointer need not leave first."""
    open_paused(site, page, "hovers")
    rest_on(page, "#banner", 500)
    page.goto(f"{site.url}/other")
    rows = site.await_actions(page_visit=2, session_start=1, banner_hover=1)
    hover = next(row for row in rows if row["action"] == "banner.hover")
    assert hover["params"]["url"] == f"{site.url}/tagged/hovers"


def test_finger_does_not_hover(site: Site, page: Page) -> None:
    """A touch's pointer is where it was last, not where somebody looks."""
    open_page(site, page, "hovers")
    page.evaluate("""() => {
        const go = (kind, id) => document.getElementById(id).dispatchEvent(
            new PointerEvent(kind, { bubbles: true, composed: true, pointerType: "touch" }));
        go("pointerover", "banner");
        return new Promise(done => setTimeout(() => done(go("pointerover", "away")), 400));
    }""")
    assert tracked(site, page) == []


# Engagement


def seen(site: Site, count: int) -> dict[str, Params]:
    """Return the params of the page visits by path, once so many say how long they were seen."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        rows = [row for row in site.rows("event", "time", "id") if row["action"] == "page.visit"]
        found = {row["params"]["path"]: row["params"] for row in rows}
        if sum("visible_ms" in params for params in found.values()) == count:
            assert "page.engage" not in {row["action"] for row in site.rows("event")}
            return found
        assert time.monotonic() < deadline, f"{rows}\n{site.log()}"
        time.sleep(0.05)


def test_engagement_is_told_when_the_page_is_left(site: Site, page: Page) -> None:
    """Time in view and the deepest scroll become part of the visit they belong to."""
    open_paused(site, page, "long")
    page.evaluate(FLUSH)
    site.await_claims(1)
    page.clock.run_for(61_000)
    page.evaluate("scrollTo(0, 780)")
    page.wait_for_timeout(200)
    page.evaluate("scrollTo(0, 0)")
    page.goto(f"{site.url}/other")
    site.await_actions(page_visit=2, session_start=1)
    left = seen(site, 1)["/tagged/long"]
    assert 61_000 <= left["visible_ms"] < 65_000
    assert 50 <= left["scroll"] <= 52


def test_engagement_counts_what_is_visible(site: Site, page: Page) -> None:
    """Hidden time and a laptop's sleep do not count; each time it is the whole so far."""
    open_paused(site, page, "empty")
    page.evaluate(FLUSH)
    site.await_claims(1)
    page.clock.run_for(10_000)
    page.evaluate(HIDE, True)
    page.evaluate(FLUSH)
    assert 10_000 <= seen(site, 1)["/tagged/empty"]["visible_ms"] < 13_000
    page.clock.run_for(3_600_000)
    page.evaluate(HIDE, False)
    page.evaluate(HIDE, True)
    page.evaluate(HIDE, False)
    page.clock.run_for(20_000)
    page.clock.fast_forward(7_200_000)
    page.evaluate(HIDE, True)
    page.evaluate(FLUSH)
    deadline = time.monotonic() + TIMEOUT
    while (total := seen(site, 1)["/tagged/empty"]["visible_ms"]) < 30_000:
        assert time.monotonic() < deadline, site.log()
    assert total < 45_000
    [session] = site.rows("session")
    assert session["visible_ms"] == total


def test_engagement_of_a_soft_navigation_is_the_old_pages(site: Site, page: Page) -> None:
    """It starts anew with the page that follows."""
    open_paused(site, page, "empty")
    page.evaluate(FLUSH)
    site.await_claims(1)
    page.clock.run_for(10_000)
    page.evaluate("() => { history.pushState({}, '', '/soft'); eventtrack.page() }")
    page.clock.run_for(5_000)
    page.evaluate(HIDE, True)
    page.evaluate(FLUSH)
    site.await_actions(page_visit=2, session_start=1)
    pages = seen(site, 2)
    assert 10_000 <= pages["/tagged/empty"]["visible_ms"] < 13_000
    assert 5_000 <= pages["/soft"]["visible_ms"] < 8_000


def test_glance_without_scrolling_is_no_engagement(site: Site, page: Page) -> None:
    """Less than a second is nothing new."""
    page.clock.install()
    open_page(site, page, "empty")
    page.evaluate(HIDE, True)
    assert tracked(site, page) == []


# Errors and cost


def test_error_stays_out_of_the_page(site: Site, page: Page) -> None:
    """The `page` fixture fails the test when one gets there."""
    open_page(site, page, "clicks")
    page.evaluate("""() => {
        Element.prototype.matches = Event.prototype.composedPath = () => { throw Error("hostile") };
        eventtrack.track = () => { throw Error("hostile") };
    }""")
    page.click("#plain")
    page.hover("#untagged")
    assert tracked(site, page) == []
