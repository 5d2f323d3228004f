"""Flask-Mailman sends a digest: the example of the guide, with its backend in memory."""

from __future__ import annotations

import pytest

from ..manual import run_blocks

pytest.importorskip("flask_mailman")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_guide_sends_a_digest_once() -> None:
    """As text and HTML, to the team; the command's second run sends nothing."""
    names = run_blocks("docs/howto/send-a-digest.md", {})
    app, mail = names["app"], names["mail"]
    app.config["MAIL_BACKEND"] = "locmem"
    mail.init_app(app)
    with app.app_context():
        names["db"].create_all()
    for _ in range(2):
        assert app.test_cli_runner().invoke(args=["send-digest"]).exit_code == 0
    [sent] = app.extensions["mailman"].outbox
    assert sent.subject.startswith("The Wobbly Shelf: 0 visitors in the week of ")
    assert sent.to == ["team@example.com"]
    assert sent.body.splitlines()[2] == "Nobody visited."
    [(html, kind)] = sent.alternatives
    assert (html.startswith("<!doctype html>"), kind) == (True, "text/html")
