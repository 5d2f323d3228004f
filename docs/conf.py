"""How Sphinx builds this manual: ``make docs``."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]

project = "Flask-EventTrack"
author = copyright = "The Flask-EventTrack maintainers"  # noqa: A001 - Sphinx reads this name
release = tomllib.loads((HERE.parent / "pyproject.toml").read_text())["project"]["version"]
version = release.rpartition(".")[0]

extensions = ["myst_parser", "sphinx.ext.autodoc", "setting"]
exclude_patterns = ["_build", "_ext"]
nitpicky = True
# Classes of other packages, for which there is no inventory without a network, and what a signature
# shows of our own without being part of the API.
nitpick_ignore = [
    ("py:class", "Clock"),
    ("py:class", "Flask"),
    ("py:class", "SQLAlchemy"),
    ("py:class", "flask_eventtrack.extension._F"),
    ("py:class", "flask_eventtrack.extension._L"),
    ("py:class", "flask_eventtrack.store.erasure.Erased"),
    ("py:class", "flask_eventtrack.store.tables.Tables"),
]
nitpick_ignore_regex = [(r"py:.*", r"(collections\.abc|datetime|markupsafe|sqlalchemy|uuid)\..+")]

myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"

html_theme = "furo"
html_title = f"Flask-EventTrack {version}"
html_copy_source = False
