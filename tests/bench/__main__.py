"""Measure the sidecar beside its peers, and the control plane (`python -m tests.bench`).

`... profile` shows where the sidecar's time goes.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from tests.bench import tools
from tests.bench.flame import profile
from tests.bench.place import Place, choose_cores
from tests.bench.plan import Plan
from tests.bench.process import StartError
from tests.bench.report import Sheet, as_markdown, as_text
from tests.bench.subjects import PAIRS, PLAIN
from tests.bench.suites import SUITES, VARIANTS, named

WARM_S = 1.0


def main() -> int:
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    found = tools.find()
    for program in tools.NEEDED:
        if program not in found:
            print(f"bench needs {program} (Debian: apt install {tools.PACKAGES[program]})", file=sys.stderr)
            return 1
    cores = choose_cores()
    if cores.load == cores.proxy:
        print("only one core may be used: proxies and load generator share it, ratios say little", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="meshproxy-bench-") as directory:
        place = Place(Path(directory), cores, found, options.before)
        try:
            place.start_upstream()
            return (_profile if options.command == "profile" else _measure)(place, options)
        except KeyboardInterrupt:
            return 130
        finally:
            place.close()


def _options() -> argparse.Namespace:
    known = [*(name for name in PLAIN if name != "before"), "meshcontrol"]
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Measure the sidecar and the control plane."
    )
    parser.add_argument("command", nargs="?", choices=["measure", "profile"], default="measure")
    parser.add_argument("--suite", type=_suites, default=list(SUITES), help=f"some of {','.join(SUITES)}, or generator")
    parser.add_argument("--subjects", type=_chosen(known), default=known, help=f"some of {','.join(known)}")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of every measurement (3)")
    parser.add_argument("--seconds", type=float, default=4.0, help="length of one measurement (4)")
    parser.add_argument("--before", type=Path, metavar="DIR", help="also measure the sidecar of this other checkout")
    parser.add_argument("--out", type=Path, default=Path("build/bench/results.json"), help="the results file")
    parser.add_argument("--markdown", action="store_true", help="print Markdown tables")
    parser.add_argument("--variant", choices=VARIANTS, default="unique", help="profile: the requests sent (unique)")
    parser.add_argument("--pair", action="store_true", help="profile: the mTLS pair")
    options = parser.parse_args()
    if options.before:
        if not (options.before / "meshproxy").is_dir():
            parser.error(f"--before {options.before}: there is no meshproxy in it")
        options.before = options.before.resolve()
        options.subjects = [*options.subjects, "before"]
    if options.rounds < 1 or options.seconds < 1:
        parser.error("--rounds and --seconds are at least 1")
    return options


def _suites(text: str) -> list[str]:
    found = {word: named(word) for word in text.split(",")}
    if unknown := [word for word, names in found.items() if not names]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(SUITES)}")
    return list(dict.fromkeys(name for names in found.values() for name in names))


def _chosen(known: Iterable[str]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: choose from {', '.join(known)}")
        return names

    return parse


def _measure(place: Place, options: argparse.Namespace) -> int:
    facts = tools.describe(place.tools)
    plan = Plan(place, options.rounds, options.seconds, WARM_S, options.subjects)
    sheets = []
    for name in options.suite:
        try:
            for sheet in SUITES[name](plan):
                sheets.append(sheet)
                print((as_markdown if options.markdown else as_text)(sheet), end="\n\n", flush=True)
        except StartError as error:
            plan.failed = True
            plan.notice(f"{name} is not complete: {error}")
    plan.finish()
    print(*(f"{name}: {value}" for name, value in facts.items()), sep="\n")
    print(f"{plan.rounds} rounds of {plan.seconds:g} s in turns, medians; every round in {options.out}")
    _write(options.out, {"machine": facts, "rounds": plan.rounds, "seconds": plan.seconds}, sheets, plan.notices)
    return 1 if plan.failed else 0


def _profile(place: Place, options: argparse.Namespace) -> int:
    plan = Plan(place, 1, options.seconds, WARM_S, ["meshproxy"])
    with plan.started(PAIRS if options.pair else PLAIN) as subjects:
        for subject in subjects:
            for table in profile(place, subject, options.variant, options.seconds, options.out.parent.resolve()):
                print(table, end="\n\n", flush=True)
    return 1 if plan.notices else 0


def _write(path: Path, head: dict[str, object], sheets: list[Sheet], notices: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    results = {**head, "notices": notices, "sheets": [sheet.data() for sheet in sheets]}
    path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
