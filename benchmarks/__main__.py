"""``python -m benchmarks [section …] [--quick]``."""

from __future__ import annotations

import argparse
import types
import typing as t

from . import (
    browser,
    collector,
    copied,
    growth,
    memory,
    outages,
    report,
    reports,
    requests,
    served,
    startup,
    streams,
    transactions,
    writer,
)

SECTIONS: dict[str, types.ModuleType] = {
    "requests": requests,
    "served": served,
    "transactions": transactions,
    "collector": collector,
    "writer": writer,
    "streams": streams,
    "growth": growth,
    "outages": outages,
    "reports": reports,
    "copied": copied,
    "memory": memory,
    "startup": startup,
    "browser": browser,
}


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("benchmarks", description="What recording costs, as ratios.")
    parser.add_argument(
        "sections", nargs="*", metavar="section", help=f"of {', '.join(SECTIONS)}; all by default"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, to see that it runs; writes no README"
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}: there are {', '.join(SECTIONS)}")
    return arguments


def main() -> None:
    arguments = parse_arguments()
    names = arguments.sections or list(SECTIONS)
    given = [*arguments.sections, *(["--quick"] if arguments.quick else [])]
    command = f'make bench ARGS="{" ".join(given)}"' if given else "make bench"
    order = [module.TITLE for module in SECTIONS.values()]
    for name in names:
        section = t.cast("report.Section", SECTIONS[name])
        text = report.measure(section, command, quick=arguments.quick)
        print(f"{text}\n", flush=True)
        if not arguments.quick:  # after each: a run that is cut short keeps what it has
            report.write_readme({section.TITLE: text}, order)


main()
