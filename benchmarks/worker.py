"""One fit, in a process of its own and in the environment of its method.

    ENVIRONMENT/bin/python benchmarks/worker.py FILE:FUNCTION PROBLEM.npz ANSWER.npz

PROBLEM holds arrays and numbers, and FUNCTION takes them as attributes of one object.
It returns a dictionary of arrays and numbers, which goes to ANSWER together with the
versions of the packages that it used. This file needs only NumPy.
"""

import importlib
import os
import sys
import time
import warnings
from importlib.metadata import version
from types import SimpleNamespace

import numpy as np

PACKAGES = (
    *("skvae", "torch", "sklearn", "numpy", "pyod", "pythae", "encdr", "umap"),
    *("jax", "keras", "lightning", "skorch", "ctgan"),
)


def timed(function, *arguments):
    """Return what a function gives, and its seconds of wall-clock and CPU time."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = function(*arguments)
    seconds = {"seconds": time.perf_counter() - wall}
    return result, seconds | {"cpu": time.process_time() - cpu}


def versions(n_threads):
    """Return the packages that the method imported, with versions, and the machine."""
    used = [name for name in PACKAGES if name in sys.modules]
    known = {name: getattr(sys.modules[name], "__version__", None) for name in used}
    packages = [f"{name} {known[name] or version(name)}" for name in used]
    with open("/proc/cpuinfo") as file:
        names = [line.split(":")[1].strip() for line in file if "model name" in line]
    cpu = f"{n_threads} of {os.cpu_count()} CPUs ({names[0] if names else 'unknown'})"
    return ", ".join([*packages, cpu])


def main():
    """Run the function that the command line names."""
    call, source, target = sys.argv[1:]
    # Some thread pools ignore OMP_NUM_THREADS and look at the CPUs they may use.
    n_threads = int(os.environ["OMP_NUM_THREADS"])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n_threads])
    with np.load(source) as arrays:
        values = {name: arrays[name] for name in arrays.files}
    values = {name: x if x.ndim else x.item() for name, x in values.items()}
    file, name = call.split(":")
    warnings.simplefilter("ignore")
    function = getattr(importlib.import_module(file), name)
    answer, seconds = timed(function, SimpleNamespace(**values))
    np.savez(target, version=versions(n_threads), **(seconds | answer))


if __name__ == "__main__":
    main()
