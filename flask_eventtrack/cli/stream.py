"""The worker of the streams in Redis, and the command that shows what waits in them."""

from __future__ import annotations

import contextlib
import pathlib
import signal
import typing as t

import click
import msgspec
from flask.cli import with_appcontext

from ..errors import ConfigError
from ..state import get_state
from ..text import escape, quantify

if t.TYPE_CHECKING:
    from ..stream.redis_streams import PartitionStatus, RedisStreams
    from ..stream.worker import Worker


def _parse_address(
    context: click.Context, parameter: click.Parameter, value: str | None
) -> tuple[str, int] | None:
    if value is None:
        return None
    host, colon, port = value.rpartition(":")
    if not (colon and port.isdigit() and int(port) < 65536):
        raise click.BadParameter("an address is a host and a port, such as 127.0.0.1:9100")
    return host.strip("[]") or "127.0.0.1", int(port)


@click.command("worker")
@click.option("--once", is_flag=True, help="End when nothing waits any more.")
@click.option(
    "--health-file",
    type=click.Path(dir_okay=False, path_type=pathlib.Path),
    help="A file that is touched every ten seconds while all is well.",
)
@click.option(
    "--metrics",
    metavar="HOST:PORT",
    callback=_parse_address,
    help="Where to serve /metrics for Prometheus.",
)
@with_appcontext
def worker(
    *, once: bool, health_file: pathlib.Path | None, metrics: tuple[str, int] | None
) -> None:
    """Write the events that web servers have sent to Redis, until SIGTERM or Ctrl-C.

    Any number of workers may run. See EVENTTRACK_STREAM_URL.
    """
    # Not above: a list of all commands imports this module.
    from ..stream.worker import Worker

    pipeline, streams = get_state().pipeline, _open()
    made = Worker(pipeline, streams, tell=lambda: _touch(health_file))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: made.stop())
    pipeline.start()
    try:
        with _serving(made, streams, metrics):
            click.echo(f"Worker {made.name} has started.", err=True)
            made.run(once=once)
    except streams.errors as error:
        raise click.ClickException(f"Redis does not answer: {escape(error)}") from None
    finally:
        streams.close()
        if health_file is not None:
            health_file.unlink(missing_ok=True)
    click.echo(
        f"Worker {made.name} has ended: {quantify(made.records, 'record')} committed.", err=True
    )


def _touch(path: pathlib.Path | None) -> None:
    if path is not None:
        path.touch()


@contextlib.contextmanager
def _serving(
    worker: Worker, streams: RedisStreams, address: tuple[str, int] | None
) -> t.Iterator[None]:
    if address is None:
        yield
        return
    from ..stream.metrics import serve

    try:
        server = serve(worker, streams, *address)
    except OSError as error:
        raise click.ClickException(f"--metrics cannot be served: {escape(error)}.") from None
    with contextlib.closing(server.socket):
        yield
        server.shutdown()


def _open() -> RedisStreams:
    state = get_state()
    try:
        from ..stream.redis_streams import open_streams

        return open_streams(state.config, state.pipeline.database)
    except ConfigError as error:
        raise click.ClickException(str(error)) from None


@click.group("stream")
def stream() -> None:
    """Look after the streams in Redis."""


@stream.command("status")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@with_appcontext
def status(*, as_json: bool) -> None:
    """Show what waits in the streams, and which workers live.

    The exit status is 1 if frames wait and no worker lives.
    """
    streams = _open()
    try:
        found, workers, server = streams.partitions(), streams.workers(), streams.server()
    except streams.errors as error:
        raise click.ClickException(f"Redis does not answer: {escape(error)}") from None
    finally:
        streams.close()
    waits = [each for each in found if each.frames]
    if as_json:
        value = {"partitions": found, "workers": workers, "server": server}
        click.echo(msgspec.json.encode(value))
    else:
        _print(waits, workers)
    if waits and not workers:
        raise click.exceptions.Exit(1)


def _print(waits: list[PartitionStatus], workers: list[str]) -> None:
    click.echo(f"Workers: {escape(', '.join(workers)) or 'none'}")
    if not waits:
        click.echo("Nothing waits.")
        return
    click.echo(f"{'stream':>6}  {'frames':>9}  {'bytes':>13}  {'oldest':>9}")
    for each in waits:
        click.echo(
            f"{each.partition:>6}  {each.frames:>9,}  {each.bytes:>13,}  {each.oldest or 0:>7.1f} s"
        )
