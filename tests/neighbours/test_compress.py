"""Flask-Compress, and hooks that compress as it does."""

from __future__ import annotations

import gzip

import pytest
from flask import Flask, Response
from flask_compress import Compress

from ..hosts import NAVIGATION, Host
from .conftest import MakeNeighbours, click, load_script

ALL = {"COMPRESS_MIN_SIZE": 1}


def titles_of(host: Host) -> list[str | None]:
    return [row["params"].get("title") for row in host.events_of("page.visit")]


@pytest.mark.parametrize("encoding", ["", "gzip", "br", "zstd", "deflate"])
def test_compressed_page_has_its_title(beside: MakeNeighbours, encoding: str) -> None:
    """It is read before the page is compressed, by whatever is registered first."""
    host = beside(Compress, ALL)
    headers = {**NAVIGATION, "Accept-Encoding": encoding}
    answer = host.client().get("/products/mug", headers=headers)
    assert answer.headers.get("Content-Encoding", "") == encoding
    assert titles_of(host) == ["Mug"]


def test_ours_is_compressed_once(beside: MakeNeighbours) -> None:
    client = beside(Compress, ALL).client()
    plain = load_script(client)
    packed = client.get(plain.request.path, headers={"Accept-Encoding": "gzip"})
    assert gzip.decompress(packed.data) == plain.data
    assert click(client).get_json()["results"][0]["status"] == "accepted"


def test_a_hook_of_the_hosts_that_compresses_is_learnt(beside: MakeNeighbours) -> None:
    """Nothing tells what a function does before it has compressed a page."""

    def register(app: Flask) -> None:
        @app.after_request
        def pack(response: Response) -> Response:
            response.set_data(gzip.compress(response.get_data()))
            response.headers["Content-Encoding"] = "gzip"
            return response

    host = beside(register)
    client = host.client()
    for _ in range(2):
        client.get("/products/mug", headers=NAVIGATION)
        host.clock.advance(seconds=1)
    assert titles_of(host)[-1] == "Mug"
