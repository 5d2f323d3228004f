"""A disk that is soon full."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import pathlib
import subprocess

from .trial import give_up


@contextlib.contextmanager
def small_disk(path: pathlib.Path, *options: str) -> cabc.Iterator[pathlib.Path]:
    """Mount a file system of 256 KiB, or skip.

    :param options: more mount options, such as ``"ro"``.
    """
    path.mkdir()
    flags = ",".join(("size=256k", "mode=700", *options))
    mount = ["mount", "-t", "tmpfs", "-o", flags, "eventtrack-faults", str(path)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, timeout=30, check=False)
        why = done.stderr.strip() if done.returncode else ""
    except OSError as error:
        why = str(error)
    if why:
        give_up(f"A small tmpfs cannot be mounted ({why}): run as root, with CAP_SYS_ADMIN.")
    try:
        yield path
    finally:
        subprocess.run(["umount", "--lazy", str(path)], timeout=30, check=True)


def fill(disk: pathlib.Path) -> None:
    """Leave no room on a disk, in a file of ours named ``filler``."""
    with (disk / "filler").open("ab", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(b"-" * 4096):
            pass
