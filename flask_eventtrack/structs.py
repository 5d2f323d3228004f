"""Classes into which msgspec reads what was sent, ready for threads.

msgspec looks at a class when it first reads into it. A second thread that reads into it meanwhile
crashes the process (msgspec 0.22): a server whose first two posts come at once.
"""

from __future__ import annotations

import typing as t

import msgspec

_Class = t.TypeVar("_Class", bound=type)


def prepared(kind: _Class) -> _Class:
    """Decorate a class that msgspec reads into, so that it looks at it now."""
    msgspec.json.Decoder(kind)
    return kind
