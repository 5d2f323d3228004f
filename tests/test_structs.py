"""Threads may read into a class for the first time at once."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

from flask_eventtrack import EventTrack

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

# The garbage collector sees what msgspec knows of a class, once it has looked at it.
POST = """
import gc, jwt, msgspec
from tests.hosts import SAME_ORIGIN, START, make_host
from tests.identity.customers import KEY

def iter_classes(kind=msgspec.Struct):
    for each in kind.__subclasses__():
        yield each
        yield from iter_classes(each)

def find_known():
    return {
        each for each in iter_classes()
        if any(type(part).__name__ == "StructInfo" for part in gc.get_referents(each))
    }

host = make_host("sqlite://", {"EVENTTRACK_JWT_KEYS": KEY, "DEBUG": True})
before, client = find_known(), host.client()
token = jwt.encode({"sub": "ada", "exp": START.timestamp() + 3600}, KEY)
event = {"action": "page.visit", "params": {"url": "http://localhost/"}}
for path, body in (
    ("in", event), ("in", {"events": [event]}), ("in", {"action": 7}), ("in", []),
    ("identify", {"token": token}), ("logout", {}), ("consent", {"choice": "full"}),
):
    response = client.post(f"/_et/{path}", json=body, headers=SAME_ORIGIN)
    print(path, response.status_code)
print(*(each.__name__ for each in find_known() - before))
host.close()
"""


def test_no_post_is_the_first_to_read_into_a_class() -> None:
    """Nor is a customer's token, or the log of a post that failed."""
    done = subprocess.run([sys.executable, "-c", POST], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [
        *("in 202", "in 202", "in 422", "in 400", "identify 204", "logout 204", "consent 204"),
        "",
    ], done.stderr


def test_a_prepared_class_is_read_by_threads_at_once() -> None:
    done = subprocess.run([sys.executable, "-c", READ], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_class_of_the_app_is_ready_once_it_is_defined() -> None:
    @dataclasses.dataclass
    class Wish:
        sku: str

    EventTrack().define("wish.add")(Wish)
    assert "__msgspec_cache__" in vars(Wish)
