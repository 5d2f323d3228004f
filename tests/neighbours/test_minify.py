"""Flask-Minify changes what the host answers, and nothing of ours."""

from __future__ import annotations

import gzip

import brotli
import pytest
from flask import Flask
from flask_minify import Minify

from ..hosts import NAVIGATION
from .conftest import MakeNeighbours, load_script


def minify(app: Flask) -> None:
    Minify(app, html=True, js=True, cssless=True, go=False)


@pytest.mark.parametrize("encoding", ["", "gzip", "br"])
def test_script_goes_out_as_its_hash_says(beside: MakeNeighbours, encoding: str) -> None:
    """Neither a 500 for the compressed one nor a changed one."""
    client = beside(minify).client()
    plain = load_script(client)
    response = client.get(plain.request.path, headers={"Accept-Encoding": encoding})
    assert (response.status_code, response.mimetype) == (200, "text/javascript")
    packing = response.headers.get("Content-Encoding", "")
    assert packing == encoding
    assert {"": bytes, "gzip": gzip.decompress, "br": brotli.decompress}[packing](
        response.data
    ) == plain.data


def test_minified_page_keeps_its_tag_and_its_title(beside: MakeNeighbours) -> None:
    host = beside(minify)
    text = host.client().get("/", headers=NAVIGATION).text
    assert "data-visit=" in text
    assert host.events_of("page.visit")[0]["params"]["title"] == "Home"
