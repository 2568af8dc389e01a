"""Results of benchmarks that go fit by fit: a line of JSON each, and means of them."""

import argparse
import json
import warnings
from pathlib import Path

import numpy as np


def key(line):
    """Return what tells a fit from others."""
    return line.get("task"), line["name"], line["method"], line["seed"]


def read(path):
    """Return the lines of results, by fit."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {key(line): line for line in map(json.loads, lines)}


def record(path, line, measure):
    """Append a line, completed by what `measure()` returns, to the results."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        line |= measure()
    print(line, flush=True)
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def mean_over_seeds(results, task, name, method, value):
    """Return the mean of a value over the seeds there are; None without any."""
    found = [
        line[value]
        for line in results.values()
        if key(line)[:3] == (task, name, method) and value in line
    ]
    return float(np.mean(found)) if found else None


def run_or_report(text, names, methods, run, report):
    """Ask the command line what to do: `run` fits, or `report` on their results."""
    parser = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--names", nargs="+", choices=names, default=names)
    parser.add_argument("--methods", nargs="+", choices=methods, default=[*methods])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--report", type=Path, help="folder of the page")
    options = parser.parse_args()
    if options.report:
        report(options.out, options.report)
    else:
        run(options.out, options.names, options.methods, options.seeds)
