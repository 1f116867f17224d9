"""`python -m Testing.Attack`: run the attacks and print the tally; exit code 1 if any came through."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

# Read once, when torch and numpy are imported: a process with one thread may be forked.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"


def main() -> int:
    # Here, because the variables come first.
    from .cases import all_attacks, sampled
    from .lanes import judged, prepared_ground
    from .tally import failures_of, table_of
    from .verdict import Judged
    from .victim import HAS_FORK

    options = _options()
    attacks = all_attacks(options.seed, options.generated)
    chosen = [attack for attack in attacks if _is_wanted(attack.identity, options.only)]
    if options.sample is not None:
        chosen = sampled(chosen, options.sample, options.seed)
    if options.list:
        print("\n".join(attack.identity for attack in chosen))
        return 0
    if not HAS_FORK:
        print("This system cannot fork: each case starts a Python of its own, and memory is not limited.")
    begun = time.monotonic()
    found: list[Judged] = []
    with prepared_ground([attack.verb for attack in chosen]) as ground:
        for one in judged(chosen, ground, options.lanes):
            found.append(one)
            if options.verbose:
                print(
                    f"{one.seconds:6.2f} s  {one.verdict.value:<14} {one.attack.identity}: {one.words[:300]}",
                    flush=True,
                )
    failures = failures_of(found)
    print("\n".join([table_of(found), "", *failures]))
    print(f"{len(found)} attacks in {time.monotonic() - begun:.0f} s, {len(failures)} came through.")
    if options.report is not None:
        options.report.write_text(json.dumps([_told(one) for one in found]), encoding="utf-8")
    return 1 if failures else 0


def _is_wanted(identity: str, parts: list[str] | None) -> bool:
    """Whether FAMILY/VERB/NAME holds one of the parts; its beginning and end may be meant by a slash."""
    return parts is None or any(part in f"/{identity}/" for part in parts)


def _told(one) -> dict[str, str]:
    return {
        "case": one.attack.identity,
        "verdict": one.verdict.value,
        "words": one.words,
        "good": one.verdict.is_good,
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m Testing.Attack", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="cases whose /FAMILY/VERB/NAME/ holds one of these")
    parser.add_argument("--seed", type=int, default=1, help="of the generated cases and of the sample")
    parser.add_argument("--generated", type=int, default=300, metavar="N", help="cases that the grammar invents")
    parser.add_argument("--sample", type=int, metavar="N", help="only so many, drawn at random")
    parser.add_argument("--lanes", type=int, default=min(os.cpu_count() or 1, 8), help="cases at once")
    parser.add_argument("--report", type=Path, metavar="FILE", help="every verdict as JSON")
    parser.add_argument("--verbose", action="store_true", help="a line per case")
    parser.add_argument("--list", action="store_true", help="only name the cases")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
