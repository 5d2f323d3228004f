"""The scripts that browsers load: ``src/`` has their sources, ``static/`` the built files."""

from __future__ import annotations

import base64
import dataclasses
import functools
import gzip
import hashlib
import pathlib

_STATIC = pathlib.Path(__file__).with_name("static")
#: The script that the tag names. It loads the others when they are needed.
CORE = "et.js"


@dataclasses.dataclass(frozen=True)
class Script:
    """A built script, plain and compressed."""

    source: bytes
    brotli: bytes | None

    @property
    def integrity(self) -> str:
        """The value of a tag's attribute ``integrity`` (W3C, Subresource Integrity)."""
        digest = hashlib.sha384(self.source).digest()
        return f"sha384-{base64.b64encode(digest).decode()}"

    @functools.cached_property
    def gzip(self) -> bytes:
        return gzip.compress(self.source, 9, mtime=0)


class Scripts(dict[str, Script]):
    """The scripts by name. They share a folder, named after their content, below the prefix."""

    @functools.cached_property
    def digest(self) -> str:
        return hashlib.sha384(b"".join(self[name].source for name in sorted(self))).hexdigest()[:16]

    def path(self, name: str) -> str:
        """Return the path of a script below the blueprint's prefix."""
        return f"/{self.digest}/{name}"


@functools.cache
def load_scripts() -> Scripts:
    """Return the built scripts of the package; the apps of a process share them."""
    return Scripts((path.name, _load(path)) for path in _STATIC.glob("*.js"))


def _load(path: pathlib.Path) -> Script:
    packed = path.with_suffix(".js.br")
    return Script(path.read_bytes(), packed.read_bytes() if packed.exists() else None)
