# mypy: disable-error-code="misc, untyped-decorator"
"""Flask-Admin's views are methods of an object."""

from __future__ import annotations

import collections.abc as cabc
import typing as t

import pytest
from flask_admin import Admin, AdminIndexView, BaseView, expose
from flask_admin.contrib.sqla import ModelView
from flask_babel import Babel

from flask_eventtrack import EventTrack

from ..conftest import MakeHost
from ..hosts import NAVIGATION, Host

Exempt = cabc.Callable[[EventTrack, Admin, list[BaseView]], object]


class Report(BaseView):
    @expose("/")
    def index(self) -> str:
        return "<title>Report</title>"

    @expose("/more")
    def more(self) -> str:
        return "<title>More</title>"


def add_admin(host: Host) -> tuple[Admin, list[BaseView]]:
    db = host.db
    Babel(host.app)  # Flask-Admin uses it where it is installed
    item = type("Item", (db.Model,), {"id": db.Column(db.Integer, primary_key=True)})
    with host.app.app_context():
        db.create_all()
    views = [Report(endpoint="report"), ModelView(item, db, endpoint="item")]
    index = type("Index", (AdminIndexView,), {})()
    admin = Admin(host.app, index_view=index)
    for view in views:
        admin.add_view(view)
    return admin, [index, *views]


PATHS = ["/admin/", "/admin/report/", "/admin/report/more", "/admin/item/", "/admin/item/new/"]


@pytest.mark.parametrize(
    ("exempt", "left"),
    [
        (lambda events, admin, views: None, PATHS),
        (lambda events, admin, views: [events.exempt(type(each)) for each in views], []),
        (lambda events, admin, views: [events.exempt(each) for each in views], []),
        (lambda events, admin, views: events.exempt(admin), []),
        (lambda events, admin, views: events.exempt(views[1].more), [*PATHS[:2], *PATHS[3:]]),
    ],
)
def test_exempt_views_are_no_visits(make: MakeHost, exempt: Exempt, left: list[str]) -> None:
    """The class, the view, the admin as a whole, or a method."""
    host = make()
    admin, views = add_admin(host)
    marked = [type(view) for view in views]
    exempt(host.events, admin, views)
    client = host.client()
    for path in PATHS:
        assert client.get(path, headers=NAVIGATION).status_code == 200
    assert sorted(row["params"]["path"] for row in host.events_of("page.visit")) == sorted(left)
    for view_class in marked:  # the classes are this module's and the extension's own
        if "eventtrack_exempt" in vars(view_class):
            del view_class.eventtrack_exempt
    for method in (Report.more, Report.index):
        t.cast("t.Any", method).__dict__.pop("eventtrack_exempt", None)


def test_a_subclass_of_an_exempt_class_is_exempt(make: MakeHost) -> None:
    """As decorated classes are."""
    host = make()

    @host.events.exempt
    class Quiet(BaseView):
        @expose("/")
        def index(self) -> str:
            return "<title>Quiet</title>"

    class Quieter(Quiet):
        pass

    Babel(host.app)
    Admin(host.app).add_view(Quieter(endpoint="quieter"))
    assert host.client().get("/admin/quieter/", headers=NAVIGATION).status_code == 200
    assert host.events_of("page.visit") == []
