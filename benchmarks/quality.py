"""How good default fits are, on many real data sets, beside PCA and other packages.

    python benchmarks/quality.py --jobs 2 --peers-root PEERS --out results.jsonl
    python benchmarks/quality.py --out results.jsonl --report docs/benchmarks

The first command fits every method to every case (a data set, a number of components,
a seed) and appends a line per fit to the results; what is there already is not run
again. The second writes the page and the figure and prints whether the claims hold.
"""

import argparse
import json
import os
import warnings
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import lru_cache
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

from _datasets import DATASETS, split
from _measures import measure
from _methods import MAP_ONLY, METHODS, PEERS, pca, run_peer
from _report import report


class Task(NamedTuple):
    """One fit: a case, a method and, for another package, its Python."""

    dataset: str
    k: int
    seed: int
    method: str
    max_rows: int | None
    python: str | None
    timeout: float

    @property
    def key(self):
        """What tells this fit from others in the results."""
        return self[:5]


@lru_cache(maxsize=1)
def linear_density(name, k, seed, max_rows):
    """Return the log-density of each test row under probabilistic PCA."""
    return pca(split(name, seed, max_rows), k, seed).density


def run(task):
    """Run one fit and return its line of the results, or why there is none."""
    name, k, seed, method, max_rows = task.key
    row = dict(zip(Task._fields[:5], task.key, strict=True))
    try:
        case = split(name, seed, max_rows)
    except FileNotFoundError as absent:
        return row | {"skipped": f"{absent.filename} is absent"}
    n_train, n_columns = case.X_train.shape
    if k >= n_columns:
        return row | {"skipped": f"k={k} with {n_columns} columns"}
    row |= {"role": DATASETS[name].role, "n_columns": n_columns}
    row |= {"n_train": n_train, "n_test": len(case.X_test)}
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if method in METHODS:
                answer = METHODS[method](case, k, seed)
            else:
                answer = run_peer(method, task.python, case, k, seed, task.timeout)
        row |= measure(case, k, answer, linear_density(name, k, seed, max_rows))
        row["warnings"] = sorted({str(w.message)[:120] for w in caught})
    except Exception as error:  # one method that fails must not end the run
        row["error"] = f"{type(error).__name__}: {error}"[:300]
    return row


def interpreters(methods, root):
    """Return the Python of each method, and say which methods have none."""
    found = {}
    for method in methods:
        if method in METHODS:
            found[method] = None
            continue
        python = None if root is None else Path(root) / PEERS[method] / "bin" / "python"
        if python is None or not python.exists():
            print(f"skipped {method}: no environment {python or '(--peers-root)'}")
        else:
            found[method] = str(python.absolute())
    return found


def tasks(options):
    """Return the fits that are asked for and not in the results yet."""
    done = set()
    if options.out.exists():
        for line in options.out.read_text().splitlines():
            row = json.loads(line)
            if "error" not in row:
                done.add(tuple(row[name] for name in Task._fields[:5]))
    pythons = interpreters(options.methods, options.peers_root)
    asked = product(options.datasets, options.k, options.seeds, pythons)
    every = (
        Task(*case, options.max_rows, pythons[case[3]], options.timeout)
        for case in asked
        if case[1] == 2 or case[3] not in MAP_ONLY
    )
    return [task for task in every if task.key not in done]


def run_all(todo, options):
    """Run fits in processes of one thread each, and append what they tell."""
    # Read by the numeric libraries when a child process imports them.
    os.environ["OMP_NUM_THREADS"] = "1"
    skipped = set()
    with (
        ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool,
        options.out.open("a") as out,
    ):
        futures = [pool.submit(run, task) for task in todo]
        for i, future in enumerate(as_completed(futures), 1):
            row = future.result()
            name = f"{row['dataset']} k={row['k']}"
            if "skipped" in row:
                if name not in skipped:
                    print(f"skipped {name}: {row['skipped']}", flush=True)
                skipped.add(name)
                continue
            out.write(json.dumps(row) + "\n")
            out.flush()
            told = {m: round(row[m], 4) for m in ("r2", "gain", "seconds") if m in row}
            told = row.get("error", told)
            where = f"{name} seed={row['seed']} {row['method']}"
            print(f"[{i}/{len(todo)}] {where}: {told}", flush=True)


def parsed():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    every = [*METHODS, *PEERS]
    add = parser.add_argument
    add("--datasets", nargs="+", default=[*DATASETS], choices=DATASETS, metavar="NAME")
    add("--role", choices=["recipe", "held out"], help="only data sets of this role")
    add("--k", nargs="+", type=int, default=[2, 8, 16], metavar="K")
    add("--seeds", nargs="+", type=int, default=[0, 1, 2], metavar="SEED")
    add("--methods", nargs="+", default=every, choices=every, metavar="NAME")
    add("--jobs", type=int, default=1, help="processes, of one thread each")
    add("--max-rows", type=int, help="most training rows, for a quick look")
    add("--peers-root", type=Path, help="folder with an environment per package")
    add("--timeout", type=float, default=3600, help="seconds for a fit of a peer")
    add("--out", type=Path, default=Path("results.jsonl"))
    add("--report", type=Path, metavar="FOLDER", help="write the page, fit nothing")
    options = parser.parse_args()
    if options.role:
        fits = [
            name for name in options.datasets if DATASETS[name].role == options.role
        ]
        options.datasets = fits
    return options


def main():
    """Run what the command line asks for."""
    options = parsed()
    if options.report:
        report(options.out, options.report, options.datasets)
    else:
        run_all(tasks(options), options)


if __name__ == "__main__":
    main()
