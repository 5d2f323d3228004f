"""The events of one post: checked one by one, and put on their way together."""

from __future__ import annotations

import collections.abc as cabc
import datetime as dt
import itertools
import typing as t
import uuid as uuidlib

from flask import Response, request

from ..errors import EventCode, InvalidEvent
from ..identity.visitor import VerifiedCustomer
from ..ids import uuid4, uuid7
from ..origins import site_of
from ..privacy.posts import PostCleaner
from ..privacy.urls import campaign_of, host_of, path_of
from ..records import PAGE_ENGAGE, PAGE_VISIT, Claim, Client, Event, Outcome, from_ns, to_ns
from ..request.checking import (
    Checked,
    check_content,
    countable_action,
    find_definition,
    parse_time,
    refuse,
    settle_time,
)
from ..request.host_hooks import run_passed_hooks
from ..request.host_login import resolve
from ..request.origin import PostOrigin
from ..request.recording import open_session, put
from ..request.rules import RuleFinder
from ..state import this_app
from ..text import TITLE_MAX_LENGTH, shorten
from .messages import Envelope, PostedEvent, Rejection, Result, parse_event
from .sender import NoRoom, Sender

_ID_VERSIONS = (4, 7)
# An offset this small may be network delay, not clock skew: the script waits no longer than this.
_MAX_TRANSIT = dt.timedelta(seconds=30)
# Parameters of a page visit that only the server knows: a browser's values are ignored.
_SERVER_ONLY = frozenset(
    {"endpoint", "url_rule", "status", "duration_ms", "path", "visible_ms", "scroll"}
)


# What the developer can do about a rejection, for the log.
_HINTS: dict[EventCode, str] = {
    "customer_required": " To accept it from every visitor, define it with anonymous=True.",
    "undefined_event": " Define it with events.define().",
    "server_only": " Call track() in a view instead, or define it without server_only=True.",
}

_Entry = PostedEvent | InvalidEvent
# What decides who the events belong to: the sender's cookies and tokens, the CSRF token that the
# sender had when they happened, or their page visits.
_Evidence = t.Literal["sender", "owner", "visit"]


class _Good(t.NamedTuple):
    """An event of a post that may be stored."""

    id: uuidlib.UUID
    time: dt.datetime
    page: uuidlib.UUID | None
    visit: str | None
    url_rule: str
    checked: Checked


class Post:
    """One post: its sender, its clock, and a result for each of its events."""

    def __init__(
        self,
        sender: Sender,
        origin: PostOrigin,
        envelope: Envelope,
        customer: VerifiedCustomer | None,
    ) -> None:
        current = sender.current
        self._state = current.state
        self._sender = sender
        self._current = current
        self._envelope = envelope
        self._customer = customer
        self._site = current.site
        self._host = site_of(current.request.host)
        self._rules = RuleFinder(self._state)
        self._cleaner = PostCleaner(self._state.urls, self._state.masker)
        if origin is PostOrigin.OTHER_ORIGIN:
            self._site = site_of(host_of(request.headers["Origin"]))
        self._received_at = from_ns(current.arrival)
        self._goes_by: _Evidence = _choose_evidence(sender, envelope)
        self._clock_error = _find_clock_error(envelope.sent_at, self._received_at)
        self._seen: set[uuidlib.UUID] = set()
        # A post of engagement alone is no activity: it does not prolong the session's cookie.
        self._is_active = True

    def take(self) -> list[Result]:
        """Record the good events, and return a result for each event, in order.

        :raises NoRoom: the journal has no room; the client sends the whole post again.
        """
        entries = [_try(parse_event, value) for value in self._envelope.events]
        is_by_visit = self._goes_by == "visit"
        runs = itertools.groupby(entries, _page_of) if is_by_visit else [(None, entries)]
        results = [result for _, run in runs for result in self._take_run(list(run))]
        if self._envelope.dropped:
            dropped = Outcome("dropped", "", "browser")
            self._state.pipeline.count(dropped, self._envelope.dropped)
        return results

    def _take_run(self, entries: list[_Entry]) -> list[Result]:
        """Take events of one visitor."""
        self._resume_visitor(entries)
        good: list[_Good] = []
        results = [self._check(entry, good) for entry in entries]
        if good:
            self._put(good)
        return results

    def _resume_visitor(self, entries: cabc.Sequence[_Entry]) -> None:
        """Find the visitor: by the events' visit alone, or by the sender and the token."""
        if self._goes_by == "owner":
            return
        page = next((page for page in map(_page_of, entries) if page is not None), None)
        tokens = self._state.tokens
        new_device = uuid4 if page is None else lambda: tokens.device_of_page(page)
        if self._goes_by == "visit":
            self._sender.forget(new_device)
            return
        self._sender.resume(new_device)
        if self._sender.is_elsewhere:  # the host names the customer in no page before this post
            run_passed_hooks()
        if self._customer is not None:
            self._sender.log_in(self._customer)
        resolve(self._current)

    def _check(self, entry: _Entry, good: list[_Good]) -> Result:
        """Return the result of an event, and add the event to ``good`` if it may be stored."""
        if isinstance(entry, InvalidEvent):
            return self._reject(None, "", entry)
        try:
            bot = self._current.judged.bot
            if bot is not None:
                raise InvalidEvent("bot", f"The client is taken for a bot: {bot}.")
            if self._sender.is_refused:
                raise InvalidEvent("opted_out", "The visitor has refused to be recorded.")
            if self._current.verdict.is_filtered:
                raise InvalidEvent("filtered", "The app does not record this visitor.")
            event_id = self._check_id(entry.event_id)
            if event_id in self._seen or event_id in self._state.recent_ids:
                self._count_duplicate(entry.action)
                return Result(str(event_id), "duplicate", None)
            good.append(self._check_event(entry, event_id))
        except InvalidEvent as error:
            return self._reject(entry.event_id, entry.action, error)
        self._seen.add(event_id)
        return Result(str(event_id), "accepted", None)

    def _count_duplicate(self, action: str) -> None:
        if action != PAGE_ENGAGE:
            action = countable_action(self._state, action, self._current.sender())
            self._state.pipeline.count(Outcome("duplicate", action))

    def _reject(self, event_id: str | None, action: str, error: InvalidEvent) -> Result:
        refuse(self._state, action, error, self._current.sender())
        if this_app().debug:
            self._state.warn_once(
                f"rejected: {action} {error.code} {error.param}",
                "A client's event was rejected (action %r, %s): %s%s",
                action,
                error.code,
                error,
                _HINTS.get(error.code, ""),
            )
        return Result(event_id, "rejected", Rejection(error.code, error.message, error.param))

    def _check_id(self, text: str | None) -> uuidlib.UUID:
        if text is None:
            return uuid7(self._state.clock())
        event_id = _read_id(text)
        if event_id is None:
            raise InvalidEvent("invalid_id", "An event_id must be a UUID of version 4 or 7.")
        return event_id

    def _check_event(self, entry: PostedEvent, event_id: uuidlib.UUID) -> _Good:
        sender = self._current.sender()
        definition = find_definition(self._state, entry.action, self._site, sender)
        if definition.server_only:
            raise InvalidEvent("server_only", f"Only the server may record {entry.action!r}.")
        if not (definition.anonymous or self._has_customer()):
            raise InvalidEvent("customer_required", f"Only customers may send {entry.action!r}.")
        given = entry.params or {}
        params, url_rule = self._clean_urls(entry.action, dict(given))
        if entry.action == PAGE_VISIT:
            _check_address(params.get("url"), given.get("url"))
        checked = self._drop_new(
            check_content(definition, params, entry.label, lenient=True, cleaner=self._cleaner)
        )
        title = checked.params.get("title")
        if isinstance(title, str) and entry.action in {PAGE_VISIT, PAGE_ENGAGE}:
            checked.params["title"] = title[:TITLE_MAX_LENGTH]
        page = _read_id(entry.page) if entry.page else None
        if page is not None and entry.action not in {PAGE_VISIT, PAGE_ENGAGE}:
            checked.params["visit"] = str(page)
        time = self._check_time(entry, checked.params)
        return _Good(event_id, time, page, entry.visit, url_rule, checked)

    def _has_customer(self) -> bool:
        """Whether the sender is a customer; an ``identify()`` in a hook may make them one."""
        if self._current.visitor.customer_id is None and not self._envelope.by_visit:
            run_passed_hooks()
        return self._current.visitor.customer_id is not None

    def _drop_new(self, checked: Checked) -> Checked:
        """Return an event's content without undefined names beyond the limit."""
        admits, sender = self._state.novelty.admits, self._current.sender()
        new = [name for name in checked.undefined if not admits(f"{checked.action} {name}", sender)]
        if new:
            checked = checked._replace(
                params={name: value for name, value in checked.params.items() if name not in new},
                undefined=tuple(name for name in checked.undefined if name not in new),
            )
        return checked

    def _clean_urls(self, action: str, params: dict[str, t.Any]) -> tuple[dict[str, t.Any], str]:
        cleaner = self._cleaner
        for name, clean in (("url", cleaner.clean), ("referrer", cleaner.clean_referrer)):
            value = params.get(name)
            if isinstance(value, str):
                params[name] = clean(value) or None
            elif value is not None and action == PAGE_VISIT:  # a number is no address
                params[name] = None
        if isinstance(params.get("href"), str):  # which may also be a mailto: or tel:
            params["href"] = cleaner.clean_link(params["href"]) or params["href"]
        if action != PAGE_VISIT:
            return params, ""
        params = {name: value for name, value in params.items() if name not in _SERVER_ONLY}
        url = params.get("url")
        if not isinstance(url, str):
            return params, ""
        params.update(campaign_of(url), path=path_of(url))
        # The path of another origin's page is no route of this app.
        url_rule = self._rules.find(url) if site_of(host_of(url)) == self._host else ""
        if url_rule:
            params["url_rule"] = url_rule
        return params, url_rule[:255]

    def _check_time(self, entry: PostedEvent, params: dict[str, t.Any]) -> dt.datetime:
        """Return when the event happened, by the server's clock."""
        latest = self._sender.latest
        if entry.time is None:
            return latest
        given = parse_time(entry.time)
        try:
            corrected = given - self._clock_error
        except OverflowError:
            raise InvalidEvent("invalid_time", f"{entry.time!r} is out of range.") from None
        if self._received_at - corrected > self._state.config.max_age:
            days = self._state.config.max_age.total_seconds() / 86400
            unit = "day" if days == 1 else "days"
            raise InvalidEvent(
                "too_old", f"Events are accepted for {days:g} {unit} after they happen."
            )
        return settle_time(corrected, latest, params, original=given)

    def _put(self, good: cabc.Sequence[_Good]) -> None:
        earliest = self._received_at - self._state.config.session_timeout
        times = [entry.time for entry in good if entry.checked.action != PAGE_ENGAGE]
        self._is_active = bool(times)
        if times:
            open_session(self._current, to_ns(max(earliest, min(times))))
        client = self._current.client() if self._current.visitor.opened else None
        campaign = self._take_campaign(good)
        events = [self._make_event(entry, client, campaign) for entry in good]
        if not put(self._state, self._current, *events, is_posted=True):
            raise NoRoom

    def _take_campaign(self, good: cabc.Sequence[_Good]) -> str:
        """Return the campaign of an earlier request, if the post has the page that it goes to."""
        if not any(entry.checked.action == PAGE_VISIT for entry in good):
            return ""
        return self._current.visitor.take_campaign()

    def _make_event(self, good: _Good, client: Client | None, campaign: str) -> Event:
        visitor, checked = self._current.visitor, good.checked
        is_visit = checked.action == PAGE_VISIT
        is_half = is_visit and not self._sender.is_app
        if is_visit and campaign:
            named = campaign_of(checked.params["url"], campaign)
            checked = checked._replace(params=checked.params | named)
        return Event(
            id=good.id,
            action=checked.action,
            time=good.time,
            received_at=self._received_at,
            uuid=visitor.uuid,
            params=checked.params,
            undefined=checked.undefined,
            label=checked.label,
            source="app" if self._sender.is_app else "browser",
            site=self._site,
            url_rule=good.url_rule,
            session=visitor.latest_session(self._current.arrival),
            client=client if checked.action != PAGE_ENGAGE else None,
            half="browser" if is_half else "",
            page=good.page,
            claim=self._read_claim(good, is_half=is_half),
            campaign=campaign if is_visit else "",
        )

    def _read_claim(self, good: _Good, *, is_half: bool) -> Claim | None:
        """Return which visit the event's page came from.

        A kept event names it by the page's id, any other by the page's tag, which may be for
        another device.
        """
        if self._goes_by == "visit" and not is_half and good.page is not None:
            return Claim(good.page, cookieless=True, kept=True)
        token = self._state.tokens.read_visit(good.visit) if good.visit else None
        visitor = self._current.visitor
        if token is None:
            return None
        # Without our cookies, a customer who is vouched for still has an identity.
        is_unknown = visitor.is_new and visitor.customer_id is None
        is_foreign = not is_unknown and token.device_id != visitor.device_id
        # A post without cookies shows the device that it comes from by its CSRF token.
        shown = self._envelope.csrf_token
        is_kept = self._envelope.by_visit and self._sender.is_csrf_of(shown, token.device_id)
        return Claim(token.visit_id, is_unknown, is_foreign, is_kept)

    def send_identity(self, response: Response) -> None:
        """Tell the sender who they are, unless the events belong to an earlier visitor."""
        if self._goes_by != "sender" and not self._sender.is_refused:
            return
        if self._is_active or self._current.visitor.stale:
            self._sender.send_identity(response)


def _choose_evidence(sender: Sender, envelope: Envelope) -> _Evidence:
    """Return what decides who the events belong to. An owner who is known is resumed."""
    if not envelope.by_visit:
        return "sender"
    return "owner" if sender.resume_owner(envelope.owner or "") else "visit"


def _check_address(clean: str | None, given: object) -> None:
    """Refuse a visit whose address is given and invalid. The definition refuses a missing one."""
    if clean is None and given is not None:
        problem = f"expected an http or https address, got {shorten(given)}"
        raise InvalidEvent("invalid_param", f"{PAGE_VISIT!r}, parameter 'url': {problem}.", "url")


def _find_clock_error(sent_at: dt.datetime | None, received_at: dt.datetime) -> dt.timedelta:
    """Return how far a sender's clock is ahead of ours; negative if it is behind."""
    error = sent_at - received_at if sent_at else dt.timedelta()
    return dt.timedelta() if -_MAX_TRANSIT <= error <= dt.timedelta() else error


def _try(parse: cabc.Callable[[object], PostedEvent], value: object) -> _Entry:
    try:
        return parse(value)
    except InvalidEvent as error:
        return error


def _page_of(entry: _Entry) -> uuidlib.UUID | None:
    return _read_id(entry.page) if isinstance(entry, PostedEvent) and entry.page else None


def _read_id(text: str) -> uuidlib.UUID | None:
    """Return a client's id. Version 5 is ours, so that no client can take an id that we derive."""
    try:
        value = uuidlib.UUID(text)
    except ValueError:
        return None
    return value if value.version in _ID_VERSIONS else None
