"""What is done to servers under load. Tests run a little of each, ``make soak`` the whole.

Each returns its figures, and raises AssertionError where a promise is not kept.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import pathlib
import random
import resource
import shutil
import signal
import statistics
import sys
import time
import typing as t
import uuid

import sqlalchemy as sa

from flask_eventtrack.records import SESSION_END

from .disk import fill, small_disk
from .load import Visitor, make_note, send_some
from .process import STARTS, Program, Server, wait_until
from .trial import Trial

Figures = dict[str, t.Any]
#: The kind of server whose workers are soonest there again.
PRELOADED = "gunicorn-gthread-preload"
_SETTLES = 90.0
_UNLIMITED = resource.RLIM_INFINITY


def figures_of(trial: Trial, started: float, **more: t.Any) -> Figures:
    """Return what is worth saying of a run that has settled."""
    ledger, stored = trial.ledger, trial.books.read()
    return {
        **more,
        "acknowledged": len(ledger.pages) + len(ledger.events),
        "refused": sum(count for status, count in ledger.answers.items() if status >= 500),
        "unanswered": ledger.answers[0],
        "stored": len(stored.events),
        "sessions": len(stored.sessions),
        "duplicates": stored.count("duplicate"),
        "dropped": stored.count("dropped"),
        "seconds": round(time.monotonic() - started, 1),
    }


def kill_rounds(
    folder: pathlib.Path, database: str, *, rounds: int, seed: str, server: str = PRELOADED
) -> Figures:
    """Kill one worker, or all processes, at random instants under load."""
    rng, started, everything = random.Random(seed), time.monotonic(), 0
    with Trial(server, folder, database) as trial:
        trial.server.start()
        with trial.crowd(seed):
            for _ in range(rounds):
                time.sleep(rng.uniform(0, 0.7))
                if rng.random() < 0.5:
                    kill_a_worker(trial, rng)
                    continue
                everything += 1
                trial.server.kill()
                trial.server.launch()
                if rng.random() < 0.8:  # or it is killed again while it starts
                    trial.server.wait_until_up()
            trial.server.wait_until_up()
            time.sleep(1)  # so that the last worker is asked for something, and looks for orphans
        trial.settle_for_good(_SETTLES)
        return figures_of(trial, started, rounds=rounds, of_everything=everything)


def orphans_by_the_minute(folder: pathlib.Path) -> Figures:
    """Kill a process while another of the same target runs, with no further start or request."""
    started = time.monotonic()
    with Trial("waitress", folder) as trial:
        trial.server.start()
        trial.send()
        trial.settle()
        trial.switch.down()
        with Server("waitress", folder, trial.books.url) as other:
            other.start()
            send_some(other.port, trial.ledger)
        trial.switch.up()
        trial.settle(_SETTLES)
        return figures_of(trial, started)


def kill_a_worker(trial: Trial, rng: random.Random) -> None:
    workers = trial.server.workers()
    if workers:
        with contextlib.suppress(ProcessLookupError):
            os.kill(rng.choice(workers), signal.SIGKILL)


def outage(folder: pathlib.Path, database: str, *, away: float, seed: str) -> Figures:
    """Take the database away under load, kill everything half-way, and give it back."""
    started = time.monotonic()
    with Trial(PRELOADED, folder, database) as trial:
        trial.server.start()
        with trial.crowd(seed, threads=2, pause=0.02):
            time.sleep(1)
            trial.switch.down()
            time.sleep(away / 2)
            trial.server.kill()
            trial.server.start()
            time.sleep(away / 2)
            trial.switch.up()
            time.sleep(1)
        trial.settle_for_good(_SETTLES)
        return figures_of(trial, started, away=away)


def disk_full(folder: pathlib.Path, *, killed: bool) -> Figures:
    """Fill the disk of the journal, perhaps kill everything then, and make room again."""
    started = time.monotonic()
    with (
        small_disk(folder / "disk") as disk,
        Trial(PRELOADED, folder, **_journal_on(disk)) as trial,
    ):
        trial.server.start()
        trial.send()
        visitor = Visitor(trial.server.port, trial.ledger)
        _post_until_refused(visitor, disk)
        if killed:
            trial.server.kill()
            trial.server.start()
        for _ in range(40):
            _expect_page(visitor)
        (disk / "filler").unlink()
        _await_acknowledgement(visitor)
        trial.settle_for_good(dropping=True)
        return figures_of(trial, started)


def _journal_on(disk: pathlib.Path) -> dict[str, str]:
    return {"FLASK_EVENTTRACK_JOURNAL_DIR": str(disk / "journal")}


def _post_until_refused(visitor: Visitor, disk: pathlib.Path) -> None:
    """Post until there is no room, and see that the refusal is one to come back after."""
    deadline = time.monotonic() + 30
    while True:
        fill(disk)
        answer = visitor.send([make_note() for _ in range(20)])
        assert answer is not None, "no answer"
        assert answer.status in {202, 503}, answer.text
        if answer.status == 503:
            assert int(answer.headers["Retry-After"]) > 0
            assert answer.headers["Content-Type"] == "application/problem+json"
            return
        assert time.monotonic() < deadline, "the journal takes more than the disk holds"


def _expect_page(visitor: Visitor) -> None:
    answer = visitor.visit()
    assert answer is not None, "a page was not answered"
    assert answer.status == 200, answer.text


def _await_acknowledgement(visitor: Visitor) -> None:
    wait_until(lambda: visitor.post([make_note()]), 30, "the collector takes events again")


def torn_writes(folder: pathlib.Path, database: str, *, rounds: int, seed: str) -> Figures:
    """Let writes to the journal fail in their middle, perhaps kill the process then, and go on.

    The kernel does it: a file may grow no more (RLIMIT_FSIZE), so that a write is cut short and the
    next one fails.
    """
    rng, started = random.Random(seed), time.monotonic()
    with Trial("waitress", folder, database) as trial:
        trial.server.start()
        for _ in range(rounds):
            visitor = Visitor(trial.server.port, trial.ledger)
            _expect_page(visitor)
            _limit_files(trial, _longest_segment(trial) + rng.randint(0, 700))
            for _ in range(rng.randint(1, 12)):
                visitor.send([make_note() for _ in range(rng.randint(1, 5))])
            if rng.random() < 0.5:
                trial.server.kill()
                trial.server.start()
                _await_acknowledgement(visitor)
            else:
                _expect_page(visitor)
                _limit_files(trial, _UNLIMITED)
                _await_acknowledgement(visitor)
                # What was dropped is counted with the next batch, and not if a kill comes first.
                trial.settle(dropping=True)
        trial.settle_for_good(dropping=True)
        return figures_of(trial, started, rounds=rounds)


def _longest_segment(trial: Trial) -> int:
    sizes = [0]
    for folder, _, names in os.walk(trial.server.journal):
        for name in names:
            if name.endswith(".segment"):
                with contextlib.suppress(FileNotFoundError):  # it has been committed meanwhile
                    sizes.append(pathlib.Path(folder, name).stat().st_size)
    return max(sizes)


def _limit_files(trial: Trial, size: int) -> None:
    resource.prlimit(trial.server.pid, resource.RLIMIT_FSIZE, (size, _UNLIMITED))


def lost_folder(folder: pathlib.Path) -> Figures:
    """Remove the journal's folder while the server runs."""
    started = time.monotonic()
    with Trial(PRELOADED, folder) as trial:
        trial.server.start()
        trial.send()
        shutil.rmtree(trial.server.journal)
        visitor = Visitor(trial.server.port, trial.ledger)
        for _ in range(20):
            _expect_page(visitor)
            answer = visitor.send([make_note()])
            assert answer is not None, "a post was not answered"
            assert answer.status in {202, 503}, answer.text
        trial.settle(dropping=True)
        trial.server.stop()
        trial.server.start()
        _await_acknowledgement(visitor)
        trial.settle_for_good(dropping=True)
        return figures_of(trial, started)


def read_only_folder(folder: pathlib.Path) -> Figures:
    """Start with a journal folder that cannot be written."""
    started = time.monotonic()
    with (
        small_disk(folder / "disk", "ro") as disk,
        Trial(PRELOADED, folder, **_journal_on(disk)) as trial,
    ):
        trial.server.start()
        trial.send()
        trial.settle()
        trial.send()
        trial.server.stop()
        trial.settle()
        assert str(disk) in trial.server.log(), "no warning names the folder"
        return figures_of(trial, started)


def storm(folder: pathlib.Path, database: str, *, requests: int, seed: str) -> Figures:
    """Send every post three times at once."""
    rng, started = random.Random(seed), time.monotonic()
    with (
        Trial("gunicorn-gthread-preload", folder, database) as trial,
        concurrent.futures.ThreadPoolExecutor(6) as pool,
    ):
        trial.server.start()
        for _ in range(requests):
            visitors = [Visitor(trial.server.port, trial.ledger) for _ in range(3)]
            if rng.random() < 0.6:  # otherwise each of the three is a newcomer
                _expect_page(visitors[0])
                for visitor in visitors:
                    visitor.cookies = dict(visitors[0].cookies)
            events = [make_note() for _ in range(rng.randint(1, 20))]
            if rng.random() < 0.5:
                page = str(uuid.uuid4())
                events = [event | {"page": page} for event in events]
            for answer in pool.map(lambda visitor, sent=events: visitor.send(sent), visitors):
                assert answer is not None, "no answer"
                assert answer.status == 202, answer.text
        trial.settle_for_good()
        return figures_of(trial, started)


def sweepers(folder: pathlib.Path, database: str, *, sessions: int, seed: str) -> Figures:
    """End silent sessions from four processes at once, of which two are killed on the way."""
    rng, started = random.Random(seed), time.monotonic()
    with contextlib.ExitStack() as stack:
        clock = folder / "clock"
        step(clock, -7200)
        trial = stack.enter_context(Trial(PRELOADED, folder, database, FAULTS_CLOCK=str(clock)))
        trial.server.start()
        for _ in range(sessions):
            visitor = Visitor(trial.server.port, trial.ledger)
            _expect_page(visitor)
            if rng.random() < 0.3:
                visitor.send([make_note(), make_note()])
        trial.settle()
        trial.server.stop()
        step(clock, 0)
        programs = [stack.enter_context(_sweep(trial, folder)) for _ in range(4)]
        for victim in programs[:2]:
            enough = rng.randrange(max(1, sessions // 2))
            wait_until(
                lambda enough=enough: _count_ended(trial) >= enough,  # type: ignore[misc]
                STARTS,
                f"{enough} sessions are ended",
            )
            time.sleep(rng.uniform(0, 0.1))
            victim.kill()
        assert [program.wait(120) for program in programs[2:]] == [0, 0]
        assert _sweep(trial, folder).wait() == 0
        stored = trial.settle()
        assert [row for row in stored.sessions if row["ended_at"] is None] == []
        ends = {row["session_id"]: row for row in stored.events if row["action"] == SESSION_END}
        for row in stored.sessions:
            end = ends[row["id"]]["params"]
            found = (end["pages"], end["events"], end["reason"])
            assert found == (row["pages"], row["events"], "timeout"), (row, end)
        return figures_of(trial, started)


def _sweep(trial: Trial, folder: pathlib.Path) -> Program:
    program = Program(folder, trial.switch.url)
    command = [sys.executable, "-m", "flask", "--app", "tests.faults.app:create_app"]
    program.spawn([*command, "eventtrack", "sweep"])
    return program


def _count_ended(trial: Trial) -> int:
    table = trial.books.tables.session
    query = sa.select(sa.func.count()).where(table.c.ended_at.is_not(None))
    with trial.books.engine.connect() as connection:
        return connection.scalar(query) or 0


def step(clock: pathlib.Path, seconds: float) -> None:
    """Set by how much the app's clock is off, at once."""
    new = clock.with_suffix(".new")
    new.write_text(str(seconds))
    new.replace(clock)


def clock_steps(folder: pathlib.Path, database: str, *, seed: str) -> Figures:
    """Step the clock under load: an hour back, a day forward, back to now; kill in between."""
    started = time.monotonic()
    clock = folder / "clock"
    step(clock, 0)
    with Trial(PRELOADED, folder, database, FAULTS_CLOCK=str(clock)) as trial:
        trial.server.start()
        with trial.crowd(seed, pause=0.02):
            for offset in (0, -3600, 86_400, 0):
                step(clock, offset)
                time.sleep(1)
                trial.server.kill()
                trial.server.start()
        trial.settle_for_good(_SETTLES)
        return figures_of(trial, started)


class Sample(t.NamedTuple):
    """What all processes of a server hold at one time."""

    seconds: float
    rss: float
    fds: int


def steady(folder: pathlib.Path, database: str, *, seconds: float, seed: str) -> Figures:
    """Keep a server busy for long; its memory and its open files must not grow."""
    started, samples = time.monotonic(), list[Sample]()
    with Trial(PRELOADED, folder, database) as trial:
        trial.server.start()
        _fill_caches(trial, newcomers=int(20 * seconds))
        begun = time.monotonic()
        with trial.crowd(seed, pause=0.02):
            while (now := time.monotonic() - begun) < seconds:
                samples.append(_sample(trial, now))
                time.sleep(seconds / 60)
        print(f"{'seconds':>8} {'MiB':>8} {'files':>6}")
        for sample in samples[::4]:
            print(f"{sample.seconds:8.0f} {sample.rss:8.1f} {sample.fds:6}")
        # From the middle on: what has filled by then is no growth.
        before, after = (
            samples[len(samples) * n // 5 : len(samples) * (n + 1) // 5] for n in (2, 4)
        )
        grown = statistics.median(s.rss for s in after) - statistics.median(s.rss for s in before)
        more = statistics.median(s.fds for s in after) - statistics.median(s.fds for s in before)
        assert grown <= 4, f"memory has grown by {grown:.1f} MiB"
        assert more <= 4, f"{more} more files are open"
        trial.settle_for_good(_SETTLES)
        return figures_of(trial, started, grown_mib=round(grown, 1), more_files=more)


def _fill_caches(trial: Trial, newcomers: int) -> None:
    """Come with so many devices that what a process remembers of them grows no more."""

    def come(_: int) -> None:
        visitor = Visitor(trial.server.port, trial.ledger)
        _expect_page(visitor)
        _expect_page(visitor)

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(come, range(newcomers)))


def _sample(trial: Trial, now: float) -> Sample:
    rss, fds = 0.0, 0
    for pid in trial.server.pids():
        with contextlib.suppress(OSError):
            status = pathlib.Path(f"/proc/{pid}/status").read_text()
            rss += int(status.partition("VmRSS:")[2].split()[0]) / 1024
            fds += len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))
    return Sample(now, rss, fds)
