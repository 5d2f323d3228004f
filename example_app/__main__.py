"""``python -m example_app``: set up the shop's database, say where to look, serve."""

from __future__ import annotations

import os
import pathlib
import sys

from . import create_app
from .models import db
from .seed import ensure_database

HOST = "127.0.0.1"


def main() -> None:
    """Run the shop on 127.0.0.1, at port 5000 or the one in ``PORT``."""
    port = int(os.environ.get("PORT", "5000"))
    app = create_app()
    with app.app_context():
        ensure_database()
        database = db.engine.url.render_as_string()
    url = f"http://{HOST}:{port}"
    flask = os.path.relpath(pathlib.Path(sys.executable).with_name("flask"))
    print(
        "",
        f"  The shop          {url}",
        f"  What it recorded  {url}/about-you",
        f"  The database      {database}",
        f"  Watch it live     {flask} --app example_app eventtrack tail --follow",
        "",
        sep="\n",
        flush=True,
    )
    app.run(host=HOST, port=port, threaded=True, use_reloader=False)


if __name__ == "__main__":
    main()
