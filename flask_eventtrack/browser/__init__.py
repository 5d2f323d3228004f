"""The scripts that browsers load: sources in ``src/``, the built files in ``static/``."""

from __future__ import annotations

import base64
import dataclasses
import functools
import gzip
import hashlib
import pathlib

_STATIC = pathlib.Path(__file__).with_name("static")
#: The one of the tag, which loads the others when it needs them.
CORE = "et.js"


@dataclasses.dataclass(frozen=True)
class Script:
    """A built script, plain and compressed."""

    source: bytes
    brotli: bytes | None

    @property
    def integrity(self) -> str:
        """What a tag's ``integrity`` holds (W3C, Subresource Integrity)."""
        digest = hashlib.sha384(self.source).digest()
        return f"sha384-{base64.b64encode(digest).decode()}"

    @functools.cached_property
    def gzip(self) -> bytes:
        return gzip.compress(self.source, 9, mtime=0)


class Scripts(dict[str, Script]):
    """The scripts by name. They stand side by side below an address that names their content."""

    @functools.cached_property
    def digest(self) -> str:
        return hashlib.sha384(b"".join(self[name].source for name in sorted(self))).hexdigest()[:16]

    def path(self, name: str) -> str:
        """Return where a script is below the blueprint's prefix."""
        return f"/{self.digest}/{name}"


def load_scripts() -> Scripts:
    """Read the built scripts from the package."""
    return Scripts((path.name, _load(path)) for path in _STATIC.glob("*.js"))


def _load(path: pathlib.Path) -> Script:
    packed = path.with_suffix(".js.br")
    return Script(path.read_bytes(), packed.read_bytes() if packed.exists() else None)
