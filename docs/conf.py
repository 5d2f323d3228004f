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

extensions = ["myst_parser", "llms", "reference"]
exclude_patterns = ["_build", "_ext"]
nitpicky = True
myst_enable_extensions = ["deflist", "fieldlist"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"Flask-EventTrack {version}"
html_copy_source = False
