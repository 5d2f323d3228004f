"""A server that takes whatever peers send, and answers that all is well.

``python -m benchmarks.sink`` prints its port and runs until its standard input ends.
"""

from __future__ import annotations

import contextlib
import http.server
import subprocess
import sys
import threading
import typing as t


class _Sink(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = b'{"status": 1}' if "json" in self.headers.get("Content-Type", "") else b""
        self.send_response(200)
        self.send_header("Content-Type", self.headers.get("Content-Type", "application/json"))
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def sink() -> t.Iterator[str]:
    """Run a sink in a process of its own; yields its URL."""
    with child("benchmarks.sink") as process:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"


@contextlib.contextmanager
def child(*arguments: str) -> t.Iterator[subprocess.Popen[str]]:
    """Run a module in a process that ends when its standard input does."""
    command = [sys.executable, "-m", *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        try:
            yield process
        finally:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()


def main() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
