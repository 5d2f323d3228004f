"""What lies outside of the shop: its bank, and places with links that lead back to it.

To a browser these pages are another site: the shop at ``127.0.0.1`` finds them at ``localhost``,
and the other way round. So people leave the shop and come back, as with a real bank.
"""

from __future__ import annotations

import typing as t
from urllib.parse import urlencode

from flask import Blueprint, abort, current_app, redirect, render_template, request, url_for
from itsdangerous import BadSignature, URLSafeSerializer

from example_app.models import Order
from example_app.security import protect
from example_app.tracking import events
from flask_eventtrack import current_visitor

if t.TYPE_CHECKING:
    from flask.typing import ResponseReturnValue

_OTHER = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}
# What the links of the page "Ways back" say, where they lead, and what they bring along.
WAYS: list[tuple[str, str, dict[str, str]]] = [
    (
        "A link in a newsletter",
        "catalogue.home",
        {"utm_source": "newsletter", "utm_medium": "email", "utm_campaign": "spring"},
    ),
    ("An advertisement beside search results", "catalogue.home", {"gclid": "Cj0KCQ-made-up"}),
    (
        "An advertisement with a campaign",
        "catalogue.home",
        {"utm_source": "google", "utm_medium": "cpc", "utm_campaign": "lamps"},
    ),
    ("An answer of ChatGPT", "catalogue.home", {"utm_source": "chatgpt.com"}),
    (
        "A post in a social network",
        "lookbook.show",
        {"utm_source": "instagram", "utm_medium": "social", "utm_campaign": "looks"},
    ),
    (
        "A friend who gets something for it",
        "catalogue.home",
        {"utm_source": "ada", "utm_medium": "affiliate"},
    ),
    ("The old address of the shelf, which redirects", "outside.old", {"utm_source": "postcard"}),
    ("A link that says nothing", "catalogue.home", {}),
]

blueprint = Blueprint("outside", __name__, url_prefix="/outside")
protect(blueprint)
events.exempt(blueprint)  # other sites would not record for the shop


class Answer(t.NamedTuple):
    """What the bank says of an order."""

    order: int
    is_paid: bool


def bank_url(order: Order) -> str:
    """Return the address of the bank's page for an order."""
    bill = {"order": order.id, "cents": order.total_cents}
    return f"{_elsewhere()}{url_for('outside.bank', bill=_signer('bill').dumps(bill))}"


def read_answer(text: str) -> Answer | None:
    """Return what the bank says, or None if it is not the bank who says it."""
    try:
        return Answer(*_signer("answer").loads(text))
    except (BadSignature, TypeError):
        return None


@blueprint.get("/bank/<bill>")
def bank(bill: str) -> ResponseReturnValue:
    """Ask whether to pay."""
    return render_template("bank.html", bill=_read_bill(bill))


@blueprint.post("/bank/<bill>")
def pay(bill: str) -> ResponseReturnValue:
    """Send the payer back to the shop, with the answer."""
    read = _read_bill(bill)
    answer = Answer(read["order"], request.form.get("choice") == "pay")
    proof = _signer("answer").dumps(answer)
    return redirect(f"{_elsewhere()}{url_for('basket.paid', answer=proof)}", 303)


@blueprint.get("/ways-back")
def ways() -> ResponseReturnValue:
    """Show links as other sites have them."""
    shop = _elsewhere()
    links = [
        (text, f"{shop}{url_for(endpoint)}{'?' if args else ''}{urlencode(args)}")
        for text, endpoint, args in WAYS
    ]
    return render_template("ways.html", links=links, wait_url=f"{shop}{url_for('.wait')}")


@blueprint.get("/leave")
def leave() -> ResponseReturnValue:
    """Lead out of the shop."""
    return redirect(f"{_elsewhere()}{url_for('.ways')}")


@blueprint.get("/old-shelf")
def old() -> ResponseReturnValue:
    """Redirect to the shelf without the query: the campaign goes to the next page all the same."""
    return redirect(url_for("catalogue.home"))


@blueprint.get("/half-an-hour")
def wait() -> ResponseReturnValue:
    """Forget the session, as the browser does half an hour after the last page."""
    response = redirect(url_for(".leave"))
    if current_visitor.session_id:
        response.delete_cookie("eventtrack_session")
    return response


def _read_bill(text: str) -> dict[str, t.Any]:
    try:
        bill: dict[str, t.Any] = _signer("bill").loads(text)
    except BadSignature:
        abort(404)
    return bill


def _signer(salt: str) -> URLSafeSerializer:
    return URLSafeSerializer(t.cast("str", current_app.secret_key), salt=f"bank {salt}")


def _elsewhere() -> str:
    """Return the address at which this server is another site."""
    host, colon, port = request.host.partition(":")
    return f"{request.scheme}://{_OTHER.get(host, host)}{colon}{port}"
