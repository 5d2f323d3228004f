"""Views of every kind, pages or not."""

from __future__ import annotations

import collections.abc as cabc

from flask import (
    Blueprint,
    Flask,
    Response,
    abort,
    make_response,
    render_template_string,
    request,
    stream_with_context,
)
from flask.views import MethodView

from flask_eventtrack import EventTrack

PAGE = "<title>A page</title>{{ eventtrack_snippet() }}"
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


def add_odd_pages(app: Flask, events: EventTrack) -> None:  # noqa: C901 - a list of views
    """Add views whose answers are pages, or only look like it."""

    @app.get("/streamed")
    def streamed() -> Response:
        def body() -> cabc.Iterator[str]:
            yield "<title>Streamed</title>"
            yield request.path

        return Response(stream_with_context(body()), mimetype="text/html")

    @app.get("/feed.xml")
    def feed() -> Response:
        return Response("<rss/>", mimetype="application/rss+xml")

    @app.get("/unchanged")
    def unchanged() -> Response:
        response = make_response("<title>Old</title>")
        response.set_etag("v1")
        response.make_conditional(request)
        return response

    @app.get("/public")
    def public() -> Response:
        response = make_response(render_template_string(PAGE))
        response.headers["Cache-Control"] = "public, max-age=60"
        return response

    @app.get("/broken")
    def broken() -> str:
        abort(500)

    @app.get("/gone")
    def gone() -> tuple[str, int]:
        return render_template_string(PAGE), 410

    @app.post("/form")
    def form() -> str:
        return render_template_string(PAGE)

    @app.get("/partial")
    def partial() -> str:
        return "<li>a fragment</li>"

    @app.get("/quiet")
    @events.exempt
    def quiet() -> str:
        return render_template_string(PAGE)

    @events.exempt
    class Quieter(MethodView):
        def get(self) -> str:
            return PAGE

    app.add_url_rule("/quieter", view_func=Quieter.as_view("quieter"))
    admin = Blueprint("admin", __name__, url_prefix="/admin")
    nested = Blueprint("nested", __name__, url_prefix="/nested")
    nested.add_url_rule("/", view_func=lambda: PAGE, endpoint="index")
    admin.register_blueprint(nested)
    app.register_blueprint(events.exempt(admin))

    @app.get("/assets/<path:name>")
    def assets(name: str) -> Response:
        return Response("body{}", mimetype="text/css")

    @app.errorhandler(404)
    def not_found(error: Exception) -> tuple[str, int]:
        return render_template_string(PAGE), 404
