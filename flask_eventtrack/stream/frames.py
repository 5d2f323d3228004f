"""A frame: records of one partition that were sent together, as they lie in a stream.

::

    ETFRAM02 z compressed    magic with the journal's format number; zlib over MessagePack
    ETFRAM02 - plain         the same of a short frame, which zlib would make no smaller

The records in it are encoded as in a journal, and the same rules hold for changes of the format:
see ``pipeline/journal_format.py``. A worker leaves frames of newer releases to workers of these.
"""

from __future__ import annotations

import collections.abc as cabc
import itertools
import secrets
import typing as t
import zlib

import msgspec

from ..pipeline.journal_format import FORMAT
from ..records import AgentRead, Outcome

_MAGIC = b"ETFRAM"
_HEAD = len(_MAGIC) + 3
# Preparing to compress takes as long as sending a frame.
_SHORT = 1024
_ID_BYTES = 12
# Frames are of 1 MB at most, unless a single record is larger.
_MAX_BYTES = 64 * 1024 * 1024


class Frame(msgspec.Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """Records, and counts of what was not recorded.

    A frame that was sent twice has the same ``id``. ``is_again`` says that its records may also be
    in frames with other ids.
    """

    id: t.Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,32}\Z")]
    records: list[bytes] = []
    outcomes: list[tuple[Outcome, int]] = []
    reads: list[tuple[AgentRead, int]] = []
    is_again: bool = False


class UnknownFrame(ValueError):
    """These bytes are no frame."""


class NewerFrame(ValueError):
    """The frame is of a newer release."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Frame)


def make_ids() -> cabc.Iterator[str]:
    """Return ids for the frames of a process.

    Random bytes for each would take as long as the rest of a short frame.
    """
    prefix = secrets.token_urlsafe(_ID_BYTES)
    return (f"{prefix}{number:x}" for number in itertools.count())


def encode_frame(frame: Frame) -> bytes:
    """Return a frame as it lies in a stream."""
    data = _encoder.encode(frame)
    if len(data) < _SHORT:
        return b"%s%02d-%s" % (_MAGIC, FORMAT, data)
    return b"%s%02dz%s" % (_MAGIC, FORMAT, zlib.compress(data, 1))


def decode_frame(data: bytes) -> Frame:
    """Return the frame that :func:`encode_frame` was given.

    :raises UnknownFrame: it is none.
    :raises NewerFrame: this release cannot read it.
    """
    head, number, kind = data[: len(_MAGIC)], data[len(_MAGIC) : _HEAD - 1], data[_HEAD - 1 : _HEAD]
    if head != _MAGIC or not number.isdigit():
        raise UnknownFrame("no frame of EventTrack")
    if int(number) > FORMAT:
        raise NewerFrame(f"a frame of format {int(number)}, and this release reads {FORMAT}")
    try:
        rest = data[_HEAD:]
        return _decoder.decode(_decompress(rest) if kind == b"z" else rest)
    except (zlib.error, ValueError) as error:  # of msgspec, also for bytes that are no text
        raise UnknownFrame(f"a damaged frame: {error}") from error


def _decompress(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(data, _MAX_BYTES)
    if not unpacker.eof:
        raise UnknownFrame("a damaged frame: it is cut, or too large")
    return unpacked
