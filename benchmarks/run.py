"""The command line of the benchmarks.

    python benchmarks/run.py quality --peers-root PEERS --jobs 2
    python benchmarks/run.py quality --page

The first command runs the fits whose results are not there yet, so that it may be
interrupted and called again. The second writes the page from the results.
"""

import argparse
from importlib import import_module
from pathlib import Path

import harness
import pages

NAMES = (
    *("quality", "columns", "mixed", "counts", "density", "generation", "images"),
    "speed",
)


def parsed():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("name", choices=NAMES)
    add("--page", action="store_true", help="write the page, measure nothing")
    for name in ("data", "splits", "methods"):
        add(f"--{name}", nargs="+", metavar="NAME", help=f"only these {name}")
    add("--seeds", nargs="+", type=int, metavar="SEED")
    add("--max-rows", type=int, help="most training rows, for a quick look")
    add("--jobs", type=int, default=1, help="fits at a time; 1 where time matters")
    add("--minutes", type=float, default=float("inf"), help="start none after so long")
    add("--timeout", type=float, default=3600, help="seconds for one fit")
    add("--peers-root", type=Path, help="folder with an environment per package")
    add("--out", type=Path, help="results; default: results/NAME.csv")
    return parser.parse_args()


def main():
    """Run what the command line asks for."""
    options = parsed()
    benchmark = import_module(options.name)
    options.out = options.out or pages.HERE / "results" / f"{options.name}.csv"
    if options.page:
        pages.write(benchmark)
    else:
        harness.run(benchmark, options)


if __name__ == "__main__":
    main()
