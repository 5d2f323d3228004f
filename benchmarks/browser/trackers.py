"""The scripts that compete, and how each is put on a page, as its own manual has it."""

from __future__ import annotations

import gzip
import json
import os
import pathlib
import shutil
import subprocess
import typing as t

import flask_eventtrack.browser

from ..report import Unavailable, progress

_FOLDER = pathlib.Path(__file__).parent
_PACKAGES = _FOLDER / "node_modules"
_OURS = pathlib.Path(flask_eventtrack.browser.__file__).with_name("static")
_BUNDLE = ("--bundle", "--minify", "--format=iife", "--target=es2019", "--log-level=warning")
_START_UP = 300.0  # s


class Tracker(t.NamedTuple):
    """A script that pages load by its ``tag``; ``start`` defines ``bench(key)``, which tracks.

    :param package: what npm calls it.
    :param script: a file of the package; none, where the package has modules only and
        ``<slug>.js`` beside this module is bundled with it.
    """

    name: str
    slug: str
    package: str
    script: str | None
    tag: str
    start: str

    @property
    def label(self) -> str:
        """Return its name with its version."""
        if not self.package:
            return self.name
        about = json.loads((_PACKAGES / self.package / "package.json").read_text())
        return f"{self.name} {about['version']}"

    def read(self) -> bytes:
        """Return what pages load."""
        if self.script is not None:
            return (_PACKAGES / self.package / self.script).read_bytes()
        command = [str(_PACKAGES / ".bin/esbuild"), str(_FOLDER / f"{self.slug}.js"), *_BUNDLE]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout


OURS = Tracker(
    "Flask-EventTrack",
    "ours",
    "",
    None,
    "{{ eventtrack_snippet() }}",
    """<script>
window.eventtrack = window.eventtrack || [];
bench = key => eventtrack.push(et => et.track("bench.click", {key}));
</script>""",
)
AHOY = Tracker(
    "ahoy.js",
    "ahoy",
    "ahoy.js",
    "dist/ahoy.min.js",
    '<script src="/scripts/ahoy.js"></script>',
    """<script>
ahoy.trackView();
bench = key => ahoy.track("bench.click", {key});
</script>""",
)
PLAUSIBLE = Tracker(
    "Plausible",
    "plausible",
    "@plausible-analytics/tracker",
    None,
    '<script src="/scripts/plausible.js"></script>',
    """<script>bench = key => plausible("bench.click", {props: {key}});</script>""",
)
SNOWPLOW = Tracker(
    "Snowplow",
    "snowplow",
    "@snowplow/browser-tracker",
    "dist/index.umd.min.js",
    '<script src="/scripts/snowplow.js"></script>',
    """<script>
snowplowBrowserTracking.newTracker("sp", location.origin, {appId: "bench"});
snowplowBrowserTracking.trackPageView();
bench = key => snowplowBrowserTracking.trackStructEvent({category: "bench.click", action: key});
</script>""",
)
POSTHOG = Tracker("PostHog", "posthog", "posthog-js", "dist/array.js", "", "")
NOTHING = Tracker("nothing", "nothing", "", None, "", "<script>bench = key => {};</script>")
PEERS = (AHOY, PLAUSIBLE, SNOWPLOW)


def ensure_packages() -> None:
    """Install what npm has of the peers, where that has not been done.

    :raises Unavailable: there is no npm, or it fails.
    """
    lock, done = _FOLDER / "package-lock.json", _PACKAGES / ".package-lock.json"
    if done.exists() and done.stat().st_mtime >= lock.stat().st_mtime:
        return
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable("npm is absent")
    progress("npm ci, for the peers' scripts")
    try:
        subprocess.run([npm, "ci", "--silent"], cwd=_FOLDER, check=True, timeout=_START_UP)
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"npm ci fails in benchmarks/browser: {error}") from error
    os.utime(done)


def read_ours() -> dict[str, bytes]:
    """Return the files of ours by name, the first one first."""
    return {name: (_OURS / name).read_bytes() for name in ("et.js", "more.js", "tagged.js")}


def compressed(script: bytes) -> int:
    """Return its size as ``gzip -9`` makes it."""
    return len(gzip.compress(script, 9, mtime=0))
