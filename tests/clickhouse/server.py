"""ClickHouse behind HTTP, as far as clickhouse-connect asks: chdb in a process of its own.

A process has one engine, which threads cannot use at the same time. It knows one user.
"""

from __future__ import annotations

import base64
import gzip
import http.server
import json
import re
import sys
import tempfile
import threading
import typing as t
import urllib.parse

USER, PASSWORD = "copier", "s3cret/p@ss"
#: What is in a query whose answer ends with an error, and in one whose answer just ends.
FAILS, HANGS_UP = "it fails meanwhile", "it hangs up"
_FAULT = b"Code: 241. DB::Exception: Memory limit exceeded. (MEMORY_LIMIT_EXCEEDED)"
_TRANSPORT = {"query", "database", "default_format", "session_id", "query_id", "wait_end_of_query"}
_TRANSPORT |= {"enable_http_compression", "client_protocol_version", "compress", "decompress"}
_TRANSPORT |= {"send_progress_in_http_headers", "http_headers_progress_interval_ms"}
_INSERT = re.compile(rb"\s*(INSERT INTO .*?)\s+FORMAT (\w+)\n", re.DOTALL)
_CODE = re.compile(r"Code: (\d+)")


class Engine:
    """Runs one statement after the other."""

    def __init__(self, folder: str) -> None:
        import chdb  # not in the tests' own process, which imports what is said here

        connect: t.Any = chdb.connect
        self._connection = connect(folder)
        self._lock = threading.Lock()

    def run(self, database: str, settings: dict[str, str], query: bytes, form: str) -> bytes:
        with self._lock:
            if database:
                self._connection.query(f"USE `{database}`")
            for name, value in settings.items():
                self._connection.query(f"SET {name} = '{value}'")
            try:
                return self._run(query, form)
            finally:
                for name in settings:
                    self._connection.query(f"SET {name} = DEFAULT")

    def _run(self, query: bytes, form: str) -> bytes:
        insert = _INSERT.match(query)
        if insert is None:
            return bytes(self._connection.query(query.decode(), form).bytes())
        # Not in the statement, which would be parsed as SQL.
        with tempfile.NamedTemporaryFile() as file:
            file.write(query[insert.end() :])
            file.flush()
            into, named = insert[1].decode(), insert[2].decode()
            self._connection.query(f"{into} FROM INFILE '{file.name}' FORMAT {named}")
        return b""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    engine: t.ClassVar[Engine]

    def do_GET(self) -> None:
        self.do_POST()

    def do_POST(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        given = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        body = self._read_body()
        if not self._is_known():
            self._answer(
                403,
                b"Code: 516. DB::Exception: Authentication failed: password is "
                b"incorrect, or there is no user with such name. (AUTHENTICATION_FAILED)",
                "516",
            )
            return
        query = given.get("query", "").encode()
        query = query + b"\n" + body if query else body
        settings = {name: value for name, value in given.items() if name not in _TRANSPORT}
        form = given.get("default_format", "TabSeparated")
        try:
            answer = self.engine.run(given.get("database", ""), settings, query, form)
        except Exception as error:  # noqa: BLE001
            text = str(error)
            code = _CODE.search(text)
            self._answer(500, text.encode(), code[1] if code else "1002")
        else:
            self._answer_in_part(query.decode(), answer)

    def _answer_in_part(self, query: str, answer: bytes) -> None:
        half = answer[: len(answer) // 2]
        if FAILS in query:
            self._answer(200, half + _FAULT)
        elif HANGS_UP in query:
            self._answer(200, half, length=len(answer))
            self.close_connection = True
        else:
            self._answer(200, answer)

    def _is_known(self) -> bool:
        wanted = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return self.headers.get("Authorization") == f"Basic {wanted}"

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            body = b"".join(parts)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def _answer(self, status: int, body: bytes, code: str = "", length: int | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length or len(body)))
        self.send_header("X-ClickHouse-Summary", json.dumps({}))
        self.send_header("X-ClickHouse-Timezone", "UTC")
        if code:
            self.send_header("X-ClickHouse-Exception-Code", code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


def main(folder: str) -> None:
    Handler.engine = Engine(folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1])
