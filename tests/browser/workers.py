"""Pages under a service worker, and a page of another site."""

from __future__ import annotations

from flask import Flask, Response, render_template_string, request

from flask_eventtrack import EventTrack

#: What a worker does with a navigation: the kind, and its code.
FORWARDS = {
    "request": "fetch(event.request)",
    "preload": "event.preloadResponse.then(found => found || fetch(event.request))",
    "init": "fetch(new Request(event.request, { credentials: 'include' }))",
    "clone": "fetch(event.request.clone(), { cache: 'no-store' })",
    "headers": "fetch(event.request.url, { headers: event.request.headers })",
    "url": "fetch(event.request.url)",
    "cached": "caches.match(event.request).then(found => found || fetch(event.request))",
}
WORKER = """
addEventListener("install", (event) => {{
    skipWaiting();
    if ("{kind}" === "cached")
        event.waitUntil(caches.open("pages").then((cache) => cache.addAll(["/other", "/walk/2"])));
}});
addEventListener("activate", (event) => {{
    const preload = "{kind}" === "preload" && registration.navigationPreload.enable();
    event.waitUntil(Promise.resolve(preload).then(() => clients.claim()));
}});
addEventListener("fetch", (event) => {{
    if (event.request.mode === "navigate") event.respondWith({forward});
}});
"""
WALK = """<!doctype html><title>Walk {{ step }}</title>{{ eventtrack_snippet() }}
<link rel="icon" href="data:,"><a id="next" href="/walk/{{ step + 1 }}">on</a>"""


def add_worker_pages(app: Flask, events: EventTrack) -> None:
    @app.get("/worker.js")
    def worker() -> Response:
        kind = request.args["kind"]
        code = WORKER.format(kind=kind, forward=FORWARDS[kind])
        return Response(code, mimetype="text/javascript")

    @app.get("/walk/<int:step>")
    def walk(step: int) -> str:
        return render_template_string(WALK, step=step)

    @app.get("/embedding")
    @events.exempt
    def embedding() -> str:
        """Stand for a page of another site, as ``localhost``, that shows one of ours in a frame."""
        source = f"{request.scheme}://127.0.0.1:{request.host.split(':')[1]}/walk/1"
        return f"<!doctype html><iframe src='{source}'></iframe>"
