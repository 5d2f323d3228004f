"""A worker's numbers for Prometheus, in the OpenMetrics text format 1.0."""

from __future__ import annotations

import collections.abc as cabc
import http.server
import threading

from .redis_streams import RedisStreams
from .worker import Worker

_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


def render(worker: Worker, streams: RedisStreams) -> str:
    """Return the numbers as text.

    :raises Exception: one of ``RedisStreams.errors``.
    """
    return "\n".join([*_list_lines(worker, streams), "# EOF", ""])


def _list_lines(worker: Worker, streams: RedisStreams) -> cabc.Iterator[str]:
    for name, number, text in (
        ("records", worker.records, "Records that this worker has committed."),
        ("frames", worker.frames, "Frames that this worker has committed."),
        ("failures", worker.failures, "Attempts of this worker that have failed."),
    ):
        yield f"# TYPE eventtrack_worker_{name} counter"
        yield f"# HELP eventtrack_worker_{name} {text}"
        yield f"eventtrack_worker_{name}_total {number}"
    found = streams.partitions()
    yield "# TYPE eventtrack_stream_waiting_frames gauge"
    yield "# HELP eventtrack_stream_waiting_frames Frames that no worker has committed."
    for each in found:
        yield f'eventtrack_stream_waiting_frames{{partition="{each.partition}"}} {each.frames}'
    yield "# TYPE eventtrack_stream_bytes gauge"
    yield "# UNIT eventtrack_stream_bytes bytes"
    yield "# HELP eventtrack_stream_bytes Memory that the streams take in Redis."
    yield f"eventtrack_stream_bytes {sum(each.bytes for each in found)}"
    yield "# TYPE eventtrack_stream_oldest_seconds gauge"
    yield "# UNIT eventtrack_stream_oldest_seconds seconds"
    yield "# HELP eventtrack_stream_oldest_seconds For how long the oldest frame has waited."
    yield f"eventtrack_stream_oldest_seconds {max((each.oldest or 0.0) for each in found):.3f}"


def serve(worker: Worker, streams: RedisStreams, host: str, port: int) -> http.server.HTTPServer:
    """Serve the numbers at ``/metrics``, in a thread; return the server.

    :raises OSError: the address cannot be used.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.partition("?")[0] != "/metrics":
                self.send_error(404)
                return
            try:
                data = render(worker, streams).encode()
            except streams.errors:
                self.send_error(503, "Redis does not answer")
                return
            self.send_response(200)
            self.send_header("Content-Type", _TYPE)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            return

    server = http.server.ThreadingHTTPServer((host, port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="eventtrack-metrics", daemon=True).start()
    return server
