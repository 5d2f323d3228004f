"""Threads may read into a class for the first time at once."""

from __future__ import annotations

import subprocess
import sys

# Without the decorator, msgspec 0.22 crashes in one of about a hundred of these classes.
READ = """
import sys, threading, types, msgspec

CLASS = '''
import msgspec, typing as t
from flask_eventtrack.structs import prepared

class Part(msgspec.Struct):
    name: str | None = None

@prepared
class Whole(msgspec.Struct):
    part: Part | None = None
''' + "".join(
    f"    a{n}: t.Annotated[str, msgspec.Meta(max_length={n + 1})] | None = None\\n"
    for n in range(8)
)
sys.setswitchinterval(1e-6)
for _ in range(1000):
    module = sys.modules["made"] = types.ModuleType("made")
    exec(CLASS, module.__dict__)
    start = threading.Barrier(3)

    def read():
        start.wait()
        msgspec.convert({"a1": "x", "part": {"name": "y"}}, module.Whole)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
"""


def test_a_prepared_class_is_read_by_threads_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
