"""What an editor asks a language server: a small client of the Language Server Protocol."""

from __future__ import annotations

import collections.abc as cabc
import contextlib
import json
import pathlib
import subprocess
import threading
import typing as t

#: Where the cursor is in a text that is completed, as in the snippets of editors.
CURSOR = "$0"
# Seconds for all of a test's questions.
_PATIENCE = 120.0
_Message = dict[str, t.Any]


class LanguageServer:
    """A language server on a project, in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes], folder: pathlib.Path) -> None:
        self._process = process
        self._folder = folder
        self._id = 0
        root = folder.as_uri()
        folders = [{"uri": root, "name": folder.name}]
        self._ask(
            "initialize", processId=None, capabilities={}, rootUri=root, workspaceFolders=folders
        )
        self._tell("initialized")

    def complete(self, name: str, text: str) -> set[str]:
        """Return what is offered at the cursor in a file of the project, without quotes."""
        before, _, after = text.partition(CURSOR)
        uri = (self._folder / name).as_uri()
        language = {".py": "python", ".ts": "typescript"}[pathlib.Path(name).suffix]
        document = {"uri": uri, "languageId": language, "version": 1, "text": before + after}
        self._tell("textDocument/didOpen", textDocument=document)
        line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
        position = {"line": line, "character": column}
        found = self._ask("textDocument/completion", textDocument={"uri": uri}, position=position)
        self._tell("textDocument/didClose", textDocument={"uri": uri})
        items = found["items"] if isinstance(found, dict) else found or []
        return {item["label"].strip("\"'?") for item in items}

    def _ask(self, method: str, **params: t.Any) -> t.Any:
        self._id += 1
        self._send({"id": self._id, "method": method, "params": params})
        while True:
            message = self._read()
            if "method" in message:
                self._answer(message)
            elif message["id"] == self._id:
                assert "error" not in message, message["error"]
                return message["result"]

    def _answer(self, message: _Message) -> None:
        """Answer a question of the server's with nothing, such as which settings there are."""
        if "id" in message:
            items = message.get("params", {}).get("items")
            result = None if items is None else [None for _ in items]
            self._send({"id": message["id"], "result": result})

    def _tell(self, method: str, **params: t.Any) -> None:
        self._send({"method": method, "params": params})

    def _send(self, message: _Message) -> None:
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        assert self._process.stdin is not None
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._process.stdin.flush()

    def _read(self) -> _Message:
        stdout = self._process.stdout
        assert stdout is not None
        length = 0
        while line := stdout.readline().strip():
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        assert length, "the language server has ended"
        message: _Message = json.loads(stdout.read(length))
        return message


@contextlib.contextmanager
def run_server(
    command: cabc.Sequence[str], folder: pathlib.Path, environ: dict[str, str]
) -> cabc.Iterator[LanguageServer]:
    """Run a language server that speaks over its standard input and output."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, cwd=folder, env=environ) as process:
        patience = threading.Timer(_PATIENCE, process.kill)
        patience.start()
        try:
            yield LanguageServer(process, folder)
        finally:
            patience.cancel()
            process.kill()
