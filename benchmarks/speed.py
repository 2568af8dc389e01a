"""How fast skvae is beside other packages at the same job, and how it scales."""

from itertools import product

import claims
import data
import numpy as np
import pandas as pd
from figures import draw_speed
from harness import Method, scalars
from pages import csv_table, number, table
from results import MOST_FOREIGN
from sklearn.datasets import load_iris

AIM = -151.0
"""ELBO of test rows that the classic job reaches."""

SMALL, MIDDLE, LARGE = BATCHES = "batch 100", "batch 512", "batch 4096"
ANSWERS, START, ELBO = "answers", "start", "ELBO"
SETTINGS = {
    **{batch: ("train", int(batch.split()[1])) for batch in BATCHES},
    ANSWERS: ("answers", 512),
    START: ("start", 32),
    ELBO: ("elbo", 100),
}
"""What is measured on a split, and the batch size."""

SCALES = {
    "rows": (1_000, 10_000, 100_000, 1_000_000),
    "columns": (16, 64, 256, 1024, 4096),
    "components": (2, 8, 32, 128, 512),
    "batch size": (32, 128, 512, 2048, 8192),
}
SHAPE = {"rows": 20_000, "columns": 784, "components": 2, "batch size": 512}
"""The sizes that do not change; but tables of different rows have 64 columns."""

ALL = (*BATCHES, ANSWERS, START)
SCALING = tuple(f"{size} {name}" for name, sizes in SCALES.items() for size in sizes)


def job(file, environment="", splits=ALL, **settings):
    """Return the method that does the job of a file in jobs/."""
    settings["job"] = f"jobs.{file}"
    return Method("timing:measure", settings, environment, splits)


FLOOR, OWN, DEFAULTS = "matrix products alone", "skvae", "skvae, defaults"
JAX, KERAS = "JAX, lax.scan", "Keras on JAX"
METHODS = {
    FLOOR: job("floor", splits=BATCHES),
    OWN: job("skvae", splits=(*ALL, *SCALING, ELBO), is_job=True),
    DEFAULTS: job("skvae", splits=(ELBO,), is_job=False),
    JAX: job("jax", "jax"),
    KERAS: job("keras", "keras_jax", backend="jax"),
    "Keras on PyTorch": job("keras", "keras_torch", backend="torch"),
    "PyTorch, plain loop": job("torch"),
    "Lightning": job("lightning", "lightning"),
    "skorch": job("skorch", "skorch"),
    "pythae": job("pythae", "pythae"),
    "pyod": job("pyod", "pyod"),
}
SHOWN = [name for name in METHODS if name != DEFAULTS]
PEERS = [name for name in SHOWN if name not in (FLOOR, OWN)]

CASES = [
    *(("mnist", split) for split in (*BATCHES, ANSWERS, ELBO)),
    ("iris", START),
    *(("uniform", split) for split in SCALING),
]
N_SEEDS, N_THREADS = 5, 2


def problem(case, max_rows):
    """Return the rows of a case, float32 in [0, 1], and what is measured."""
    if case.data == "uniform":
        return uniform(case.split, max_rows)
    kind, batch_size = SETTINGS[case.split]
    known = {"kind": kind, "batch_size": batch_size, "n_components": 2, "aim": AIM}
    if case.data == "iris":
        X = load_iris().data
        return known | {"X": ((X - X.min(0)) / np.ptp(X, axis=0)).astype(np.float32)}
    stored = data.arrays("mnist")
    for name, file in (("X", "x_train"), ("X_test", "x_test")):
        images = stored[file].reshape(-1, 784)[:max_rows]
        known[name] = images.astype(np.float32) / 255
    return known


def uniform(split, max_rows):
    """Return random rows of the size that a split names."""
    size, name = split.split(" ", 1)
    shape = SHAPE | ({"columns": 64} if name == "rows" else {}) | {name: int(size)}
    size = min(max_rows or shape["rows"], shape["rows"]), shape["columns"]
    sizes = {"batch_size": shape["batch size"], "n_components": shape["components"]}
    X = np.random.default_rng(0).random(size, dtype=np.float32)
    return {"kind": "train", "X": X, **sizes}


def measure(case, problem, answer):
    """Return what the worker measured, without the time of the worker itself."""
    times = "seconds", "cpu"
    return {name: x for name, x in scalars(answer).items() if name not in times}


WEIGHTS = 4e-6 * (784 * 256 + 256 + 257 * 4 + 3 * 256 + 256 * 784 + 784)
"""Weights and biases of 784-256-2-256-784, in MB."""

TITLES = {"epoch": "seconds per epoch", "peak_mb": "peak memory", "start": "seconds"}
GROUPS = {"XLA": (JAX, KERAS), "all": PEERS}
RATIOS = (
    ("epoch", SMALL, "XLA", 0.95),
    ("epoch", MIDDLE, "XLA", 0.85),
    ("epoch", LARGE, "XLA", 0.75),
    *(("epoch", SMALL, name, 0.4) for name in ("pythae", "pyod", "skorch")),
    *(("epoch", SMALL, name, 0.4) for name in ("Lightning", "Keras on PyTorch")),
    ("epoch", SMALL, FLOOR, 1.7),
    ("epoch", LARGE, FLOOR, 1.25),
    *(("peak_mb", batch, "all", 1.0) for batch in BATCHES),
    ("start", START, "all", 1.0),
)
"""(measure, split, package or the best of a group, bound of the ratio to it)."""

RATE_NAMES = "encode", "decode", "sample"
UNITS = {"s per epoch": "epoch", "MB": "peak_mb"}
RATES = {"encode": 0.5, "encode64": 2.0, "decode": 2 / 3, "decode64": 2.0}
"""Bound of the seconds of an answer by those of the fastest package in float32."""


def ratio(results, split, one, other):
    """Return the median over rounds of one (measure, method) by another."""
    a, b = results.pair(one, other)
    ratios = a / b
    return ratios[ratios.index.get_level_values("split") == split].median()


def verdicts(results):
    """Return the claims by name; none rests on a disturbed measurement."""
    clean, made = results.clean(), {}
    medians = clean.medians()
    for measure, split, other, bound in RATIOS:
        best = medians.loc[split, measure].reindex(GROUPS.get(other, [other])).idxmin()
        value = ratio(clean, split, (measure, OWN), (measure, best))
        text = f"{TITLES[measure]}, {split}: skvae / {best}"
        made[f"{measure} {split} {other}"] = claims.at_most(text, value, bound)
    for name, bound in RATES.items():
        measure = name.removesuffix("64")
        best = medians.loc[ANSWERS, measure].reindex(PEERS).idxmax()
        value = ratio(clean, ANSWERS, (measure, best), (name, OWN))
        text = f"seconds of {name}: skvae / {best} in float32"
        made[name] = claims.at_most(text, value, bound)
    return made | memory_claims(medians)


def memory_claims(medians):
    """Return the claims about memory and the first fit, beside no other package."""
    made = {}
    for batch in BATCHES:
        rows, peak = medians.loc[(batch, OWN), ["data_mb", "peak_mb"]]
        # A model in training holds its weights, their gradient and Adam's two moments.
        bound, text = 1.3 + 4 * WEIGHTS / rows, f"peak memory, {batch}: skvae / rows"
        made[f"memory {batch}"] = claims.at_most(text, peak / rows, bound)
    seconds = medians.loc[(START, OWN), "first_fit"]
    made["first fit"] = claims.at_most(
        "first fit of iris: skvae / 0.1 s", seconds / 0.1, 1.0
    )
    return made


def by_batch(medians, measure, methods):
    """Return medians of training, a row per method and a column per batch size."""
    return medians[measure].unstack("split").reindex(methods)[[*BATCHES]]


def training_table(results, medians):
    """Return seconds per epoch by batch size, and as a multiple of skvae's."""
    seconds = by_batch(medians, "epoch", SHOWN)
    frame, small = seconds.map(number), medians.loc[SMALL].reindex(SHOWN)
    for name, batch in product(SHOWN, BATCHES):
        times = ratio(results, batch, ("epoch", name), ("epoch", OWN))
        frame.loc[name, batch] += f" ({number(times, 2)})"
    frame["first epoch, 100"] = small["first_epoch"]
    frame["50 epochs, 100"] = small["first_epoch"] + 49 * small["epoch"]
    frame["cross-entropy"] = [number(x, 4) for x in small["cross_entropy"]]
    return table(frame, "package")


def answer_table(medians):
    """Return thousands of rows per second, a row per package."""
    found = medians.loc[ANSWERS] / 1000
    double = found.loc[[OWN], ["encode64", "decode64"]]
    double = double.rename({OWN: "skvae, float64"}).rename(columns=lambda s: s[:-2])
    rows = found.loc[[OWN], list(RATE_NAMES)], double, found.reindex(PEERS)
    return table(pd.concat(rows)[list(RATE_NAMES)], "package")


def memory_table(medians):
    """Return peak memory by batch size, and seconds of start-up."""
    frame = by_batch(medians, "peak_mb", [OWN, *PEERS]).add_prefix("MB, ")
    start = medians.loc[START, ["import", "first_fit", "start"]]
    start.columns = ["import, s", "first fit, s", "both, s"]
    return table(frame.join(start), "package")


def series(medians, measure):
    """Return medians along each series of sizes, by what changes."""
    values = medians[measure].xs(OWN, level="method")
    return {
        name: pd.Series({n: values[f"{n} {name}"] for n in sizes})
        for name, sizes in SCALES.items()
    }


def slope(values):
    """Return the slope of log(values) over log(sizes)."""
    x, y = np.log(values.index.to_numpy(float)), np.log(values.to_numpy())
    return f"{np.polyfit(x, y, 1)[0]:.2f}"


def scaling_table(medians):
    """Return each series with its exponents, two rows per series."""
    lines = []
    for name, (unit, measure) in product(SCALES, UNITS.items()):
        values = series(medians, measure)[name]
        sizes = ", ".join(f"{n:,}" for n in values.index)
        shown = ", ".join(map(number, values))
        slopes = slope(values), slope(values[-2:])
        lines.append([f"{name}: {sizes}", unit, shown, *slopes])
    titles = ["what changes", "", "values", "exponent", "last"]
    return csv_table(pd.DataFrame(lines, columns=titles))


def fields(results):
    """Return what fills the page."""
    medians = results.medians()
    rounds = results.rows.groupby(["split", "method"])["seed"].nunique()
    foreign = results.rows.query("measure == 'foreign' and data != 'uniform'")["value"]
    fastest = medians.loc[ANSWERS, "sample"].reindex(PEERS).idxmax()
    return {
        "own": {
            split: medians.xs(OWN, level="method").loc[split] for split in SETTINGS
        },
        "defaults": medians.loc[(ELBO, DEFAULTS)],
        "aim": AIM,
        "rounds": {split: rounds[split].min() for split in (ELBO, ANSWERS, SCALING[0])},
        "sample": ratio(results, ANSWERS, ("sample", fastest), ("sample", OWN)),
        "relative_error": results.get("relative_error", FLOOR).max(),
        "foreign": foreign.astype(float).median(),
        "most_foreign": MOST_FOREIGN,
        "training": training_table(results, medians),
        "answers": answer_table(medians),
        "memory": memory_table(medians),
        "scaling": scaling_table(medians),
        "versions": results.versions(),
    }


def draw(results, path):
    """Draw training, answers, memory, start-up and growth."""
    medians = results.medians()
    seconds = by_batch(medians, "epoch", SHOWN).add_prefix("seconds per epoch, ")
    rates = medians.loc[ANSWERS, list(RATE_NAMES)] / -1000
    panels = seconds.join(rates.add_suffix(": thousand rows per second"))
    memory = medians.loc[SMALL, "peak_mb"].drop(FLOOR)
    panels["peak memory above the rows, MB, batch 100"] = memory
    panels["import and first fit, seconds"] = medians.loc[START, "start"]
    draw_speed(panels, series(medians, "epoch"), path)
