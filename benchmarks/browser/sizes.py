"""How much a page has to load."""

from __future__ import annotations

from ..report import Table, at_most, whole
from .trackers import OURS, PEERS, POSTHOG, compressed, read_ours

_TARGETS = {"et.js": at_most(2600), "more.js": at_most(3000), "tagged.js": at_most(3000)}


def tabulate(excuse: str | None) -> Table:
    """Return the table; with an excuse for what there is of npm, without the peers."""
    table = Table(
        "Sizes of the built scripts, in bytes.", ("script", "as it is", "`gzip -9`", "target")
    )
    for name, script in read_ours().items():
        label = f"{OURS.name}, `{name}`"
        table.add(label, whole(len(script)), whole(compressed(script)), _TARGETS[name])
    if excuse:
        table.notes.append(f"The peers are skipped: {excuse}.")
        return table
    for peer in (*PEERS, POSTHOG):
        script = peer.read()
        label = f"{peer.label}, {f'`{peer.script}`' if peer.script else 'bundled'}"
        table.add(label, whole(len(script)), whole(compressed(script)))
    table.notes.append(
        "The peers are as npm has them; bundled is what esbuild makes of modules and one call "
        "that starts them. A page loads `more.js` when it is idle, and `tagged.js` if an "
        "element of it is tagged. Umami and GoatCounter publish "
        "no package with their scripts."
    )
    return table
