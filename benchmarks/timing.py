"""Time and memory of a job, measured in a fresh process of its package's environment.

Linux only: CPU time and memory are read from /proc.
"""

import importlib
import os
import statistics
import time
from pathlib import Path

import numpy as np

N_EPOCHS = 2
"""Epochs timed, after one that is not."""

N_REPEATS = 3
"""How often rows are encoded, decoded and sampled, after a call that does not count."""

N_CHECKED = 2000
"""Rows whose reconstruction is compared after training."""

N_ELBO_DRAWS = 16
"""Draws per row of the bound on test rows: the same ones at each epoch."""


def measure(problem):
    """Measure what the case asks for."""
    kinds = {"train": train, "answers": answers, "start": start, "elbo": elbo}
    load = CpuLoad()
    answer = kinds[problem.kind](problem)
    return {"foreign": load.foreign()} | answer


class CpuLoad:
    """Fraction of the machine's CPUs that other processes take."""

    def __init__(self):
        self.begin = self._now()

    @staticmethod
    def _now():
        fields = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        ticks = [int(field) for field in fields]
        idle = ticks[3] + ticks[4]
        everyone = (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK")
        return np.array([time.perf_counter(), everyone, sum(os.times()[:4])])

    def foreign(self):
        """Return the fraction in [0, 1]; stolen time of a virtual machine counts."""
        wall, everyone, own = self._now() - self.begin
        return max(0.0, (everyone - own) / wall / os.cpu_count())


def memory(key):
    """Return a field of /proc/self/status in MB of 10^6 bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(s.split()[1]) * 1024 / 1e6 for s in lines if s.startswith(key))


def made(problem):
    """Return the job of a case."""
    os.environ["KERAS_BACKEND"] = getattr(problem, "backend", "")
    job = importlib.import_module(problem.job).Job
    return job(problem.X.shape[1], problem.n_components, problem.batch_size)


def train(problem):
    """Time epochs after the first, which may compile, and the memory they take."""
    X, job = problem.X, made(problem)
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts anew
    ends = [time.perf_counter()]
    job.fit(X, 1 + N_EPOCHS, lambda: ends.append(time.perf_counter()))
    answer = {
        "first_epoch": ends[1] - ends[0],
        "epoch": statistics.median(np.diff(ends)[1:]),
        "fit": time.perf_counter() - ends[0],
        "peak_mb": memory("VmHWM") - before,
        "data_mb": X.nbytes / 1e6,
        "process_mb": memory("VmHWM"),
    }
    if hasattr(job, "relative_error"):
        return answer | {"relative_error": job.relative_error}
    return answer | {"cross_entropy": cross_entropy(job, X[:N_CHECKED])}


def cross_entropy(job, X):
    """Return that of rows and their reconstructions, in nats per row.

    It shows that the packages that are compared have done the same work.
    """
    back = np.asarray(job.decode(job.encode(X)), np.float64).clip(1e-7, 1 - 1e-7)
    return -float(np.mean(np.sum(X * np.log(back) + (1 - X) * np.log1p(-back), 1)))


def answers(problem):
    """Return rows per second of encode, decode and sample after a fit of one batch."""
    X, job = problem.X, made(problem)
    job.fit(X[: problem.batch_size], 1, lambda: None)
    Z = np.random.default_rng(0).standard_normal((len(X), problem.n_components))
    asked = {
        "encode": (job.encode, X),
        "decode": (job.decode, Z.astype(np.float32)),
        "sample": (job.sample, len(X)),
    }
    if problem.job == "jobs.skvae":
        asked["encode64"] = (job.encode, X.astype(np.float64))
        asked["decode64"] = (job.decode, Z)
    return {name: rate(len(X), *call) for name, call in asked.items()}


def rate(n_rows, function, argument):
    """Return rows per second, the median of calls after the first."""
    seconds = []
    for _ in range(1 + N_REPEATS):
        started = time.perf_counter()
        function(argument)
        seconds.append(time.perf_counter() - started)
    return n_rows / statistics.median(seconds[1:])


def start(problem):
    """Time the import, and the first fit: one epoch of iris."""
    started = time.perf_counter()
    job = made(problem)
    imported = time.perf_counter()
    job.fit(problem.X, 1, lambda: None)
    ended = time.perf_counter()
    seconds = {"import": imported - started, "first_fit": ended - imported}
    return seconds | {"start": ended - started}


def elbo(problem):
    """Return the seconds to an ELBO of test rows, of the defaults or the job."""
    from jobs import skvae

    def bound_of(model):
        rows, draws = problem.X_test, N_ELBO_DRAWS
        return float(model.score_samples(rows, bound="elbo", n_draws=draws).mean())

    job = skvae.CLASSIC | {"batch_size": problem.batch_size, "max_iter": 50}
    model = skvae.model_of(problem.n_components, **(job if problem.is_job else {}))
    quality = skvae.Quality(bound_of)
    model.set_callbacks(skvae.EpochEnds(quality.stop), quality).fit(problem.X)
    seconds = time.perf_counter() - quality.began - quality.paused
    reached = [seconds for seconds, bound in quality.curve if bound >= problem.aim]
    return {
        "seconds_to_aim": min(reached, default=np.nan),
        "final_elbo": bound_of(model),
        "fit": seconds,
    }
