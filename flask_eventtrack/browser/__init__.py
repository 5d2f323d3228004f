"""The script that browsers load: sources in ``src/``, the built file in ``static/``."""

from __future__ import annotations

import gzip
import hashlib
import importlib.resources
import typing as t


class Script(t.NamedTuple):
    """The built script, and the digest of its content that its address carries."""

    source: bytes
    compressed: bytes
    digest: str


def load_script() -> Script:
    """Read the built script from the package."""
    source = importlib.resources.files(__package__).joinpath("static/et.js").read_bytes()
    digest = hashlib.sha256(source).hexdigest()[:16]
    return Script(source, gzip.compress(source, 9, mtime=0), digest)
