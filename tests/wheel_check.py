"""Run by the Python of a clean environment that holds the built wheel and nothing else of ours."""

from __future__ import annotations

import importlib.metadata
import pathlib

from flask import Flask, render_template_string
from flask_sqlalchemy import SQLAlchemy

import flask_eventtrack

package = pathlib.Path(flask_eventtrack.__file__).parent
assert "site-packages" in package.parts, package
assert (package / "py.typed").is_file()
[plugin] = importlib.metadata.entry_points(group="pytest11", name="flask_eventtrack")
assert plugin.module == "flask_eventtrack.testing.plugin", plugin

app = Flask(__name__)
app.config.update(SECRET_KEY="of a clean environment", SQLALCHEMY_DATABASE_URI="sqlite://")
db = SQLAlchemy(app)
events = flask_eventtrack.EventTrack(app, db)
app.add_url_rule("/", view_func=lambda: render_template_string("{{ eventtrack_snippet() }}"))

with app.app_context():
    db.create_all()
client = app.test_client()
client.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 Firefox/150.0"
tag = client.get("/").text
path = tag.partition('src="')[2].partition('"')[0]
paths = [f"{path.rpartition('/')[0]}/{name}.js" for name in ("et", "more", "tagged")]
for encoding in ("", "gzip", "br"):
    for path in paths:
        script = client.get(path, headers={"Accept-Encoding": encoding})
        assert script.status_code == 200, script.status
        assert script.headers.get("Content-Encoding", "") == encoding, script.headers
        assert len(script.data) > 1000, len(script.data)
assert (package / "browser/eventtrack.d.ts").is_file()
assert "Your visits are measured." in client.get("/_et/privacy").text
assert client.get("/_et/privacy.css").status_code == 200
assert client.get("/_et/openapi.json").get_json()["servers"] == [{"url": "/_et"}]
with app.app_context():
    events.flush()
    with db.engine.connect() as connection:
        actions = sorted(connection.scalars(db.select(events.tables.event.c.action)))
assert actions == ["page.visit", "session.start"], actions
print("The wheel works in a clean environment.")
