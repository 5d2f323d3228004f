from __future__ import annotations

import uuid as uuidlib

import pytest

from flask_eventtrack.records import Claim, ClaimKind

VISIT = uuidlib.uuid4()


@pytest.mark.parametrize(
    ("claim", "kind"),
    [
        (Claim(VISIT), "own"),
        (Claim(VISIT, kept=True), "own"),
        (Claim(VISIT, foreign=True), "foreign"),
        (Claim(VISIT, foreign=True, kept=True), "foreign"),
        (Claim(VISIT, cookieless=True), "cookieless"),
        (Claim(VISIT, cookieless=True, kept=True), "kept"),
    ],
)
def test_the_flags_of_a_claim_make_a_kind(claim: Claim, kind: ClaimKind) -> None:
    """Without cookies, the kind depends on whether the browser proved that the page is its own."""
    assert claim.kind == kind
