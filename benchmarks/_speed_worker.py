"""One measurement, in a fresh process of the environment that holds the package.

    ENVIRONMENT/bin/python benchmarks/_speed_worker.py CASE.json ANSWER.json

CASE is a `Case` of `speed.py` as a dictionary, with the path of the rows. Linux only:
CPU time and memory are read from /proc.
"""

import importlib
import json
import os
import statistics
import sys
import time
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
from _speed_jobs import JOBS, Callback

N_REPEATS = 3
"""How often rows are encoded, decoded and sampled, after a call that does not count."""

N_CHECKED = 2000
"""Rows whose reconstruction is looked at after training."""

N_ELBO_DRAWS = 16
"""Draws per row of the bound on held-out rows: the same ones at each epoch."""


class Share:
    """Which share of the machine's CPUs other processes take from now on."""

    def __init__(self):
        self.begin = self._now()

    @staticmethod
    def _now():
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        ticks = [int(field) for field in fields]
        idle = ticks[3] + ticks[4]
        everyone = (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")
        return time.perf_counter(), everyone, sum(os.times()[:4])

    def foreign(self):
        """Return the share in [0, 1]; stolen time of a virtual machine counts."""
        wall, everyone, own = (
            b - a for a, b in zip(self.begin, self._now(), strict=True)
        )
        return max(0.0, (everyone - own) / wall / os.cpu_count())


def memory(key):
    """Return a field of /proc/self/status in MB of 10^6 bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024 / 1e6
    raise KeyError(key)


def imported(case):
    """Return the job of a case and the seconds that importing its package took."""
    file, name = JOBS[case["job"]]
    job = getattr(importlib.import_module(file), name)
    started = time.perf_counter()
    for module in job.modules:
        importlib.import_module(module)
    seconds = time.perf_counter() - started
    return job(case["n_columns"], case["n_components"], case["batch_size"]), seconds


def rows_of(case):
    """Return the rows of a file, or made-up ones, float32 in [0, 1]."""
    if case["rows"] is not None:
        return np.load(case["rows"])
    shape = case["n_rows"], case["n_columns"]
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def train(case):
    """Time epochs after the first, which may compile, and watch the memory."""
    X = rows_of(case)
    job, _ = imported(case)
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    share, ends = Share(), [time.perf_counter()]
    job.fit(X, 1 + case["n_epochs"], lambda: ends.append(time.perf_counter()))
    answer = {
        "foreign": share.foreign(),
        "first_epoch": ends[1] - ends[0],
        "epoch": statistics.median(np.diff(ends)[1:]),
        "fit": time.perf_counter() - ends[0],
        "peak_mb": memory("VmHWM") - before,
        "data_mb": X.nbytes / 1e6,
        "process_mb": memory("VmHWM"),
    }
    if hasattr(job, "relative_error"):
        answer["relative_error"] = job.relative_error
    if job.answers:
        answer["cross_entropy"] = cross_entropy(job, X[:N_CHECKED])
    return answer


def cross_entropy(job, X):
    """Return that of rows and their reconstructions, in nats per row.

    It shows that packages that are set beside each other have done the same work.
    """
    back = np.asarray(job.decode(job.encode(X)), np.float64).clip(1e-7, 1 - 1e-7)
    return -float(np.mean(np.sum(X * np.log(back) + (1 - X) * np.log1p(-back), 1)))


def answers(case):
    """Return rows per second of encode, decode and sample after a fit of one batch."""
    X = rows_of(case)
    job, _ = imported(case)
    job.fit(X[: case["batch_size"]], 1, lambda: None)
    Z = np.random.default_rng(0).standard_normal((len(X), case["n_components"]))
    asked = {
        "encode": (job.encode, X),
        "decode": (job.decode, Z.astype(np.float32)),
        "sample": (job.sample, len(X)),
    }
    if case["job"] == "skvae":
        asked["encode64"] = (job.encode, X.astype(np.float64))
        asked["decode64"] = (job.decode, Z)
    share, rates = Share(), {}
    for name, (function, argument) in asked.items():
        function(argument)
        seconds = []
        for _ in range(N_REPEATS):
            started = time.perf_counter()
            function(argument)
            seconds.append(time.perf_counter() - started)
        rates[name] = len(X) / statistics.median(seconds)
    return {"foreign": share.foreign(), **rates}


def start(case):
    """Time the import, and the first fit: one epoch of iris."""
    X = rows_of(case)
    share = Share()
    job, seconds = imported(case)
    started = time.perf_counter()
    job.fit(X, 1, lambda: None)
    first_fit = time.perf_counter() - started
    return {"foreign": share.foreign(), "import": seconds, "first_fit": first_fit}


class Quality(Callback):
    """Keeps (seconds of training, ELBO of held-out rows) per epoch.

    The clock stands still while the callback is at work.
    """

    def __init__(self, X_test):
        self.X_test, self.curve, self.paused = X_test, [], 0.0
        self.began = time.perf_counter()

    def on_fit_task_end(self, estimator, context, *, fitted_estimator):
        if context.task_name == "epoch":
            seconds = self.stopped - self.began - self.paused
            self.curve.append((seconds, bound_of(fitted_estimator, self.X_test)))
        self.paused += time.perf_counter() - self.stopped


def bound_of(model, X):
    """Return the mean evidence lower bound of rows, in nats."""
    return float(model.score_samples(X, bound="elbo", n_draws=N_ELBO_DRAWS).mean())


class Clock(Quality):
    """Callback that tells `quality` when an epoch ended, before its model is made."""

    def __init__(self, quality):
        self.quality = quality

    def on_fit_task_end(self, estimator, context):
        self.quality.stopped = time.perf_counter()


def elbo(case):
    """Return the held-out ELBO over time, of the defaults or of the classic job."""
    from skvae import VAETransformer

    X, X_test = rows_of(case), np.load(case["test_rows"])
    settings = {"likelihood": "bernoulli", "random_state": 0, "device": "cpu"}
    model = VAETransformer(case["n_components"], **settings, **case["settings"])
    quality, share = Quality(X_test), Share()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.set_callbacks(Clock(quality), quality).fit(X)
    seconds = time.perf_counter() - quality.began - quality.paused
    return {
        "foreign": share.foreign(),
        "curve": quality.curve,
        "final": bound_of(model, X_test),
        "fit": seconds,
    }


MEASURES = {"train": train, "answers": answers, "start": start, "elbo": elbo}


def versions():
    """Return the versions of what is installed here."""
    names = "torch keras jax lightning skorch pythae pyod numpy scikit-learn".split()
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def main():
    """Measure the case that the command line names."""
    source, target = map(Path, sys.argv[1:])
    case = json.loads(source.read_text())
    # Thread pools that know no OMP_NUM_THREADS look at the CPUs that they may use.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: case["n_threads"]])
    if case["job"].startswith("keras_"):
        os.environ["KERAS_BACKEND"] = case["job"].removeprefix("keras_")
    answer = MEASURES[case["measure"]](case)
    target.write_text(json.dumps(answer | {"versions": versions()}))


if __name__ == "__main__":
    main()
