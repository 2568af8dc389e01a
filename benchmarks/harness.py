"""Runs cases x methods, each fit in a fresh process, and appends what is measured.

A benchmark is a module that holds

- `CASES`, a list of (data, split), and `METHODS`, a `Method` by name;
- `N_SEEDS` and `N_THREADS`;
- `problem(case, max_rows)`, which returns the arrays and numbers a method gets;
- `measure(case, problem, answer)`, which returns the value of each measure;
- `verdicts(results)`, which returns claims by name;
- `fields(results)`, which returns what fills the template of the page; and, if the page
  has a figure, `draw(results, path)`.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import product
from pathlib import Path
from typing import NamedTuple

import numpy as np
from results import append, finished

WORKER = Path(__file__).resolve().with_name("worker.py")


class Case(NamedTuple):
    """A data set, how it is split or what is asked of it, and a seed."""

    data: str
    split: str
    seed: int


class Method(NamedTuple):
    """A function of a file here, and where and of what it is asked.

    Parameters
    ----------
    call : str
        "file:function".
    settings : dict
        Added to the problem.
    environment : str
        Folder of its environment in --peers-root; "" for this one.
    splits : tuple of str
        The splits that it runs on; () for all.
    """

    call: str
    settings: dict = {}
    environment: str = ""
    splits: tuple = ()


class SkippedCase(Exception):
    """A case that cannot be measured, such as more components than columns."""


def scalars(answer):
    """Return the numbers of an answer, which are measures as they are."""
    return {name: value.item() for name, value in answer.items() if not value.ndim}


def python_of(method, root):
    """Return the Python that runs a method."""
    if not method.environment:
        return sys.executable
    python = Path(root or "") / method.environment / "bin" / "python"
    if root is None or not python.exists():
        raise SkippedCase(f"no environment {method.environment} in --peers-root")
    return python.absolute()


def answer_of(method, problem, python, n_threads, timeout):
    """Return the answer of a method, from a process of its own."""
    variables = {**os.environ, "OMP_NUM_THREADS": str(n_threads)}
    if method.environment:
        # The caller's import path holds packages of another environment.
        variables.pop("PYTHONPATH", None)
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "problem.npz", Path(folder) / "answer.npz"
        np.savez(source, **problem, **method.settings)
        command = [python, WORKER, method.call, source, target]
        how = {"cwd": folder, "env": variables, "timeout": timeout}
        done = subprocess.run(command, capture_output=True, text=True, **how)
        if done.returncode:
            raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
        with np.load(target) as arrays:
            return {name: arrays[name] for name in arrays.files}


def tasks(benchmark, options):
    """Yield (case, method) asked for and not finished; methods alternate at random."""
    done = finished(options.out)
    seeds = options.seeds or range(benchmark.N_SEEDS)
    for seed, (data, split) in product(seeds, benchmark.CASES):
        names = list(benchmark.METHODS)
        random.Random(f"{data} {split} {seed}").shuffle(names)
        for name in names:
            is_asked = (
                split in (benchmark.METHODS[name].splits or [split])
                and name in (options.methods or [name])
                and data in (options.data or [data])
                and split in (options.splits or [split])
            )
            if is_asked and (data, split, str(seed), name) not in done:
                yield Case(data, split, seed), name


def measured(benchmark, case, method, options):
    """Return the measures and the versions of one fit, or its error."""
    python = python_of(method, options.peers_root)
    problem = benchmark.problem(case, options.max_rows)
    how = (python, benchmark.N_THREADS, options.timeout)
    try:
        answer = answer_of(method, problem, *how)
        version = str(answer.pop("version"))
        return benchmark.measure(case, problem, answer), version
    except Exception as error:  # a method that fails must not end the run
        return {"error": f"{type(error).__name__}: {error}"[:300]}, ""


def run(benchmark, options):
    """Measure what is asked for and is not in the results yet."""
    ends = time.monotonic() + 60 * options.minutes

    def one(case, name):
        if time.monotonic() > ends:
            raise SkippedCase("time is up")
        return measured(benchmark, case, benchmark.METHODS[name], options)

    with ThreadPoolExecutor(options.jobs) as pool:
        todo = {pool.submit(one, *task): task for task in tasks(benchmark, options)}
        for i, future in enumerate(as_completed(todo), 1):
            case, name = todo[future]
            try:
                values, version = future.result()
                append(options.out, case, name, values, version)
            except (SkippedCase, FileNotFoundError) as reason:
                values = f"skipped, {reason}"
            print(f"[{i}/{len(todo)}]", *case, f"{name}: {values}", flush=True)
