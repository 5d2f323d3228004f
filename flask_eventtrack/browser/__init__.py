"""The two scripts that browsers load: sources in ``src/``, the built files in ``static/``."""

from __future__ import annotations

import base64
import dataclasses
import functools
import gzip
import hashlib
import pathlib
import typing as t

_STATIC = pathlib.Path(__file__).with_name("static")


@dataclasses.dataclass(frozen=True)
class Script:
    """A built script, plain and compressed. Its address carries the digest of its content."""

    name: t.Literal["et", "more"]
    source: bytes
    brotli: bytes | None

    @functools.cached_property
    def _hash(self) -> bytes:
        return hashlib.sha384(self.source).digest()

    @property
    def digest(self) -> str:
        return self._hash.hex()[:16]

    @property
    def file_name(self) -> str:
        return f"{self.name}.{self.digest}.js"

    @property
    def integrity(self) -> str:
        """What a tag's ``integrity`` holds (W3C, Subresource Integrity)."""
        return f"sha384-{base64.b64encode(self._hash).decode()}"

    @functools.cached_property
    def gzip(self) -> bytes:
        return gzip.compress(self.source, 9, mtime=0)


def load_script(name: t.Literal["et", "more"]) -> Script:
    """Read a built script from the package: ``et``, or ``more``, which it loads later."""
    path = _STATIC / f"{name}.js"
    packed = path.with_suffix(".js.br")
    return Script(name, path.read_bytes(), packed.read_bytes() if packed.exists() else None)
