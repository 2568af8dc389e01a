"""How fast skvae is beside other packages at the same job, and how it scales.

    python benchmarks/speed.py --peers-root PEERS --rounds 5 --out speed.jsonl
    python benchmarks/speed.py --scaling --rounds 5 --out speed.jsonl
    python benchmarks/speed.py --out speed.jsonl --report docs/benchmarks

The first command measures every package in turn, each time in a fresh process, and
appends a line per measurement to the results; a round is one such turn. Measurements
that other processes disturbed are marked, and taken again at the next call; the others
are not repeated, so a call may be interrupted, or told to end after some `--minutes`.
The second does the same for skvae alone on tables of many shapes. The third writes the
page and the figure and prints whether the claims hold.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from _datasets import data_folder
from _speed_jobs import JOBS
from _speed_report import MOST_FOREIGN, report
from sklearn.datasets import load_digits, load_iris

BATCH_SIZES = (100, 512, 4096)
MEASURES = ("train", "answers", "start", "elbo")

WITH_TORCH = ("skvae", "torch", "floor")
"""Jobs that run in the environment of the benchmark."""

CLASSIC = {
    "init": "random",
    "hidden_layer_sizes": [256],
    "activation": "relu",
    "learning_rate": "constant",
    "learning_rate_init": 1e-3,
    "batch_size": 100,
    "max_iter": 50,
    "early_stopping": False,
    "tol": None,
    "beta": 1.0,
}
"""The classic job, to be set beside the defaults."""

SCALES = {
    "n_rows": (1_000, 10_000, 100_000, 1_000_000),
    "n_columns": (16, 64, 256, 1024, 4096),
    "n_components": (2, 8, 32, 128, 512),
    "batch_size": (32, 128, 512, 2048, 8192),
}
SHAPE = {"n_rows": 20_000, "n_columns": 784, "n_components": 2, "batch_size": 512}
"""What the others are while one changes; but a million rows have 64 columns."""


class Case(NamedTuple):
    """One measurement; `changes` names what a scaling case is one of a series in."""

    measure: str
    job: str
    round: int
    batch_size: int
    n_rows: int
    n_columns: int
    n_components: int = 2
    variant: str = ""
    changes: str = ""


class Data(NamedTuple):
    """Files of rows, float32 in [0, 1]."""

    train: Path
    test: Path
    iris: Path
    name: str
    n_rows: int


def images():
    """Return (name, training rows, test rows): MNIST, or digits if it is not there."""
    path = data_folder() / "mnist.npz"
    if path.exists():
        with np.load(path) as parts:
            rows = (parts[name].reshape(-1, 784) for name in ("x_train", "x_test"))
            return "MNIST", *(x.astype(np.float32) / 255 for x in rows)
    X = load_digits().images.astype(np.float32) / 16
    X = np.pad(X.repeat(3, axis=1).repeat(3, axis=2), ((0, 0), (2, 2), (2, 2)))
    # Of a brightness of its own each, since skvae trains once on rows that repeat.
    X = np.resize(X.reshape(-1, 784), (70_000, 784))
    X *= np.random.default_rng(0).uniform(0.5, 1.0, (len(X), 1)).astype(np.float32)
    return "enlarged digits, repeated", X[:60_000], X[60_000:]


def written(folder, n_rows):
    """Write the rows that the processes read, and return where they are."""
    name, train, test = images()
    iris = load_iris().data.astype(np.float32)
    iris = (iris - iris.min(0)) / np.ptp(iris, axis=0)
    paths = []
    for part, rows in (("train", train[:n_rows]), ("test", test), ("iris", iris)):
        paths.append(folder / f"{part}.npy")
        np.save(paths[-1], rows)
    return Data(*paths, name, len(train[:n_rows]))


def peer_cases(options, pythons, n_rows):
    """Return the cases of the comparison, round by round, packages in random order."""
    cases = []
    for turn in range(options.rounds):
        jobs = list(pythons)
        random.Random(turn).shuffle(jobs)
        for batch_size in options.batch_sizes:
            cases += [Case("train", job, turn, batch_size, n_rows, 784) for job in jobs]
        others = [job for job in jobs if job != "floor"]
        cases += [Case("answers", job, turn, 512, n_rows, 784) for job in others]
        cases += [Case("start", job, turn, 32, 150, 4) for job in others]
        for variant in ("defaults", "classic"):
            case = Case("elbo", "skvae", turn, 100, n_rows, 784, variant=variant)
            cases += [case] if "skvae" in jobs else []
    return [case for case in cases if case.measure in options.measures]


def scaling_cases(options):
    """Return the cases of the scaling section: one thing changes at a time."""
    cases = []
    for turn in range(options.rounds):
        for name, values in SCALES.items():
            shape = SHAPE | ({"n_columns": 64} if name == "n_rows" else {})
            for value in values:
                shape = shape | {name: value}
                cases.append(Case("train", "skvae", turn, changes=name, **shape))
    return cases


def interpreters(jobs, root):
    """Return the Python of each job, and say which jobs have none."""
    found = {}
    for job in jobs:
        if job in WITH_TORCH:
            found[job] = sys.executable
            continue
        python = None if root is None else (root / job / "bin" / "python").absolute()
        if python is None or not python.exists():
            print(f"skipped {job}: no environment {python or '(--peers-root)'}")
        else:
            found[job] = str(python)
    return found


def environment(job, n_threads):
    """Return the environment variables of a worker."""
    variables = {**os.environ, "OMP_NUM_THREADS": str(n_threads)}
    if job not in WITH_TORCH:
        # The caller's import path holds packages of another environment.
        variables.pop("PYTHONPATH", None)
    return variables


def cpu_name():
    """Return what the processor calls itself."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.split(":")[1].strip() for line in lines if "model name" in line)
    return next(names, "unknown")


def run(case, python, data, options):
    """Return the line of a case: what its process tells, or why it tells nothing."""
    rows = {"start": data.iris}.get(case.measure, data.train)
    asked = case._asdict() | {
        "rows": None if case.changes else str(rows),
        "test_rows": str(data.test),
        "n_epochs": options.n_epochs,
        "n_threads": options.threads,
        "settings": CLASSIC if case.variant == "classic" else {},
    }
    told = {name: asked[name] for name in ("n_epochs", "n_threads")}
    told |= {"data": data.name, "n_cpus": os.cpu_count(), "cpu": cpu_name()}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "case.json", Path(folder) / "answer.json"
        source.write_text(json.dumps(asked))
        worker = Path(__file__).resolve().with_name("_speed_worker.py")
        try:
            done = subprocess.run(
                [python, worker, source, target],
                cwd=folder,
                env=environment(case.job, options.threads),
                capture_output=True,
                text=True,
                timeout=options.timeout,
            )
        except subprocess.TimeoutExpired as error:
            return case._asdict() | told | {"error": str(error)[-300:]}
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return case._asdict() | told | {"error": last[:300]}
        return case._asdict() | told | json.loads(target.read_text())


def lines_of(path):
    """Return the lines of the results as dictionaries."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def to_do(cases, options):
    """Return the cases that have no undisturbed line in the results yet."""
    done = {
        Case(**{name: line[name] for name in Case._fields})
        for line in lines_of(options.out)
        if line.get("foreign", 1.0) <= MOST_FOREIGN
    }
    return [case for case in cases if case not in done]


def run_all(options):
    """Measure one case after the other and append what each tells."""
    ends = time.monotonic() + 60 * options.minutes
    jobs = ["skvae"] if options.scaling else options.jobs
    pythons = interpreters(jobs, options.peers_root)
    with tempfile.TemporaryDirectory() as folder, options.out.open("a") as out:
        data = written(Path(folder), options.n_rows)
        cases = (
            scaling_cases(options)
            if options.scaling
            else peer_cases(options, pythons, data.n_rows)
        )
        todo = to_do(cases, options)
        for i, case in enumerate(todo, 1):
            if time.monotonic() > ends:
                print(f"time is up, {len(todo) - i + 1} measurements are left")
                break
            line = run(case, pythons[case.job], data, options)
            out.write(json.dumps(line) + "\n")
            out.flush()
            print(f"[{i}/{len(todo)}] {shown(line)}", flush=True)


def shown(line):
    """Return a line of the results as a person reads it."""
    where = " ".join(str(line[name]) for name in Case._fields if line[name] != "")
    if "error" in line:
        return f"{where}: {line['error']}"
    values = {
        name: float(f"{value:.4g}")
        for name, value in line.items()
        if isinstance(value, float)
    }
    mark = " (disturbed)" if line["foreign"] > MOST_FOREIGN else ""
    return f"{where}: {values}{mark}"


def parsed():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, forever = parser.add_argument, float("inf")
    add("--peers-root", type=Path, help="folder with an environment per package")
    add("--rounds", type=int, default=5)
    add("--jobs", nargs="+", default=[*JOBS], choices=JOBS, metavar="NAME")
    add("--measures", nargs="+", default=MEASURES, choices=MEASURES, metavar="NAME")
    add("--batch-sizes", nargs="+", type=int, default=BATCH_SIZES, metavar="N")
    add("--n-rows", type=int, help="most training rows, for a quick look")
    add("--n-epochs", type=int, default=2, help="epochs timed, after one that is not")
    add("--threads", type=int, default=2, help="CPUs of each process")
    add("--minutes", type=float, default=forever, help="begin nothing after so long")
    add("--timeout", type=float, default=600, help="seconds for one process")
    add("--scaling", action="store_true", help="skvae alone, tables of many shapes")
    add("--out", type=Path, default=Path("speed.jsonl"))
    add("--report", type=Path, metavar="FOLDER", help="write the page, measure nothing")
    return parser.parse_args()


def main():
    """Run what the command line asks for."""
    options = parsed()
    if options.report:
        report(options.out, options.report)
    else:
        run_all(options)


if __name__ == "__main__":
    main()
