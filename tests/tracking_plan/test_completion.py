"""Editors complete actions and parameters, by what ``catalogue export`` writes for them."""

from __future__ import annotations

import collections.abc as cabc
import json
import os
import pathlib
import sys

import pytest

from ..manual import ROOT
from .conftest import Project
from .language_server import CURSOR, LanguageServer, run_server
from .test_exports import DECLARATIONS, node_tool

PARAMETERS = {"sku", "name", "price", "size", "colour", "stars", "lines", "seen_at", "is_gift"}


@pytest.fixture
def pyright(project: Project) -> cabc.Iterator[LanguageServer]:
    project.run("export", "--format", "python", "-o", "typings/flask_eventtrack/__init__.pyi")
    path = os.pathsep.join([str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    environ = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    command = [node_tool("pyright-langserver"), "--stdio"]
    with run_server(command, project.folder, environ) as server:
        yield server


@pytest.fixture
def typescript(project: Project) -> cabc.Iterator[LanguageServer]:
    project.run("export", "--format", "typescript", "-o", "web/catalogue.d.ts")
    options = {"strict": True, "types": [], "lib": ["es2022", "dom"]}
    files = [str(DECLARATIONS), "web/catalogue.d.ts", "shop.ts"]
    settings = {"compilerOptions": options, "files": files}
    (project.folder / "tsconfig.json").write_text(json.dumps(settings))
    (project.folder / "shop.ts").write_text("")
    command = [node_tool("tsc"), "--lsp", "--stdio"]
    with run_server(command, project.folder, dict(os.environ)) as server:
        yield server


def test_python_completes_actions_and_parameters(pyright: LanguageServer) -> None:
    """With the stub where pyright finds it."""

    def complete(call: str) -> set[str]:
        return pyright.complete("shop.py", f"from flask_eventtrack import track\n{call}")

    assert {"mug.view", "mug.close", "order.place", "page.visit"} <= complete('track("$0")')
    assert complete('track("mug.view", {"$0"})') >= PARAMETERS
    rest = complete('track("mug.view", {"sku": "A1", "$0": ""})')
    assert rest & PARAMETERS == PARAMETERS - {"sku"}
    assert complete('track("mug.view", {"colour": "$0"})') == {"red", "blue"}


@pytest.mark.parametrize(
    "call",
    [
        "et.track($0)",
        "(window.eventtrack = window.eventtrack || []).push((it) => it.track($0))",
    ],
)
def test_typescript_completes_actions_and_parameters(typescript: LanguageServer, call: str) -> None:
    """With the declarations of the script beside the export."""

    def complete(arguments: str) -> set[str]:
        text = f"declare const et: EventTrack.Api;\n{call.replace(CURSOR, arguments)};"
        return typescript.complete("shop.ts", text)

    assert {"mug.view", "mug.close", "product.addToCart"} <= complete('"$0"')
    assert "order.place" not in complete('"$0"')
    assert complete('"mug.view", { $0 }') >= PARAMETERS
    assert complete('"mug.view", { sku: "A1", $0 }') & PARAMETERS == PARAMETERS - {"sku"}
    assert complete('"mug.view", { sku: "A1", name: "Mug", colour: "$0" }') == {"red", "blue"}


def test_typescript_completes_attributes(typescript: LanguageServer) -> None:
    """Of tagged elements, for templates that the compiler reads."""
    tagged = "const tagged: EventTrack.ElementAttributes"
    actions = typescript.complete("shop.ts", f'{tagged} = {{ "data-eventtrack": "$0" }};')
    assert {"mug.view", "mug.close", "product.addToCart"} <= actions
    names = typescript.complete("shop.ts", f'{tagged}<"mug.view"> = {{ "$0" }};')
    assert names >= {f"data-eventtrack-{name.replace('_', '-')}" for name in PARAMETERS}
