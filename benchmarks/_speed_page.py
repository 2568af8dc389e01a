"""The page and the figure that show the results of the speed benchmark."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from _page import csv_table

NAMES = {
    "floor": "matrix products alone",
    "skvae": "skvae",
    "jax": "JAX, lax.scan",
    "keras_jax": "Keras on JAX",
    "keras_torch": "Keras on PyTorch",
    "torch": "PyTorch, plain loop",
    "lightning": "Lightning",
    "skorch": "skorch",
    "pythae": "pythae",
    "pyod": "pyod",
}
COLORS = {"skvae": "tab:orange", "floor": "0.6"}
BATCH_SIZES = (100, 512, 4096)
AIM = -151.0
"""Held-out ELBO that the classic job comes to."""

AXES = {
    "n_rows": "rows",
    "n_columns": "columns",
    "n_components": "components",
    "batch_size": "batch size",
}

PAGE = """\
===========
How fast
===========

.. Written by benchmarks/speed.py --report; edit benchmarks/_speed_page.py instead.

Every package does the same job: {n_rows:,} rows of {data}, in [0, 1], through
784-256-2-256-784 with ReLU, the summed cross-entropy and KL term, Adam with step size
1e-3, float32. {n_cpus} CPUs ({cpu}), of which a process may use {n_threads}; medians of
{n_rounds} rounds, in each of which every package runs once, in random order and in a
fresh process.

.. image:: speed.png
   :alt: Seconds per epoch, rows per second, memory and start-up of skvae and other
      packages, and how the time of an epoch of skvae grows

Do the claims hold?
===================

{claims}

Training
========

Seconds per epoch, the first one apart, and in brackets how many times as long as
skvae takes. The first epoch holds what comes once: checks and sorting of the rows for
skvae, compiling for JAX. Cross-entropy, in nats per row, is that of rows and their
reconstructions after {n_epochs} epochs at batch size 100; it shows that the same work
was done.

{training}

"Matrix products alone" are those of the job, with operands that stay in place, through
oneDNN, which PyTorch brings along; relative error of a product: {relative_error}. pyod
trains on squared errors. encdr, which skvae is set beside for quality, has no such job:
it holds rows out and trains on squared errors of standardized columns.

{quality}

Answers
=======

Thousands of rows per second. Packages on PyTorch are called on the whole array, as
people do; Keras in batches of 4096 rows, since its default of 32 is many times slower.
These, and those of start-up, are medians of at least {n_answered} rounds.

{answers}

Memory and start-up
===================

Memory is how far the process grows during the fit above what it holds once the rows
({data_mb:.0f} MB) and the package are loaded; compilers that a package loads while it
fits count. Start-up is the import, and the first fit: one epoch of iris.

{memory}

How it grows
============

skvae alone, on made-up rows in [0, 1]: 20,000 of them, 784 columns, two components and
batch size 512, but for what changes; tables of different numbers of rows have 64
columns. An exponent is the slope of a straight line through logarithms: 1 where a
tenfold size takes tenfold the time. The last one is between the two largest sizes,
where what is done once per step or fit no longer hides it. Rounds: {n_grown}.

{scaling}

How to read it
==============

- Other processes took {foreign:.1%} of the machine's CPUs, in the median, while
  packages were measured. Measurements of which they took more than {most_foreign:.0%}
  are left out; a case that has no others is marked †, and no claim rests on it.
- Ratios are medians of ratios within a round, so that they may differ a little from
  ratios of the medians shown.
- It is one machine. Where PyTorch's MKL is as fast as oneDNN, packages on PyTorch lose
  less; on a GPU everything is different.

Versions: {versions}.
"""


def number(x, digits=3):
    """Return a number with so many significant digits, a dash for none."""
    if pd.isna(x):
        return "–"
    decimals = max(0, digits - 1 - int(np.floor(np.log10(abs(x))))) if x else 0
    return f"{x:,.{decimals}f}"


def _cell(results, quantity, job, *what, scale=1.0):
    """Return a median as text, marked where no undisturbed round is known."""
    text = number(results.median(quantity, job, *what) / scale)
    return text if results.undisturbed(job, *what) else f"{text} †"


def training_table(results):
    """Return seconds per epoch by batch size, a row per package."""
    lines = []
    for job, name in NAMES.items():
        line = {"package": name}
        for batch_size in BATCH_SIZES:
            text = _cell(results, "epoch", job, "train", batch_size)
            ratio = results.ratio("epoch", job, "skvae", "train", batch_size)
            line[f"batch {batch_size}"] = f"{text} ({number(ratio, 2)})"
        first, epoch = (
            results.median(quantity, job, "train", 100)
            for quantity in ("first_epoch", "epoch")
        )
        line["first epoch, 100"] = number(first)
        line["50 epochs, 100"] = number(first + 49 * epoch)
        entropy = results.median("cross_entropy", job, "train", 100)
        line["cross-entropy"] = number(entropy, 4)
        lines.append(line)
    return pd.DataFrame(lines)


def answer_table(results):
    """Return thousands of rows per second, a row per package."""
    lines = []
    for job, name in NAMES.items():
        for suffix, more in (("", ""), ("64", ", float64")):
            if pd.isna(results.median(f"encode{suffix}", job, "answers")):
                continue
            line = {"package": name + more}
            for quantity in ("encode", "decode", "sample"):
                what = (f"{quantity}{suffix}", job, "answers")
                line[quantity] = _cell(results, *what, scale=1000)
            lines.append(line)
    return pd.DataFrame(lines)


def memory_table(results):
    """Return peak memory by batch size, and seconds of start-up."""
    lines = []
    for job, name in NAMES.items():
        if job == "floor":
            continue
        line = {"package": name}
        for batch_size in BATCH_SIZES:
            text = _cell(results, "peak_mb", job, "train", batch_size)
            line[f"MB, batch {batch_size}"] = text
        for quantity, title in (
            ("import", "import, s"),
            ("first_fit", "first fit, s"),
            ("start", "both, s"),
        ):
            line[title] = _cell(results, quantity, job, "start")
        lines.append(line)
    return pd.DataFrame(lines)


def series(results, name):
    """Return medians of seconds and memory along one series of sizes."""
    lines = results.lines
    mine = lines[lines["changes"] == name]
    return mine.groupby(name)[["epoch", "fit", "peak_mb"]].median()


def exponents(sizes, values):
    """Return the slope of log(values) over log(sizes), of all and of the last two."""
    known = values > 0
    x, y = np.log(sizes[known]), np.log(values[known])
    if len(x) < 2:
        return np.nan, np.nan
    return np.polyfit(x, y, 1)[0], np.polyfit(x[-2:], y[-2:], 1)[0]


def scaling_table(results):
    """Return each series with its exponents, two rows per series."""
    lines = []
    for name, title in AXES.items():
        medians = series(results, name)
        if len(medians) < 2:
            continue
        shown = ", ".join(f"{size:,}" for size in medians.index)
        for column, unit in (("epoch", "s per epoch"), ("peak_mb", "MB")):
            sizes_and_values = medians.index.to_numpy(float), medians[column].to_numpy()
            slope, last = exponents(*sizes_and_values)
            lines.append(
                {
                    "what changes": f"{title}: {shown}",
                    "": unit,
                    "values": ", ".join(number(x) for x in medians[column]),
                    "exponent": f"{slope:.2f}",
                    "last": f"{last:.2f}",
                }
            )
    return pd.DataFrame(lines)


def seconds_to(curve, least):
    """Return the seconds after which a curve of (seconds, ELBO) is at `least`."""
    return next((seconds for seconds, elbo in curve if elbo >= least), np.nan)


def quality_text(results):
    """Return what the defaults take to the quality of the classic job."""
    told = []
    for variant, name in (("defaults", "The defaults"), ("classic", "The classic job")):
        curves = results.rounds("curve", "skvae", "elbo", None, variant)
        if curves.empty:
            continue
        seconds = np.median([seconds_to(curve, AIM) for curve in curves])
        final = results.median("final", "skvae", "elbo", None, variant)
        fit = results.median("fit", "skvae", "elbo", None, variant)
        reached = f"after {seconds:.1f} s" if np.isfinite(seconds) else "never"
        told.append(
            f"{name} of skvae (``likelihood='bernoulli'``) reached an ELBO of "
            f"{AIM:.0f} nats on the 10,000 test rows {reached}, and ended at "
            f"{final:.2f} after {fit:.1f} s."
        )
        told[-1] += f" (Runs: {len(curves)}.)"
    clock = " The clock stood still while the ELBO was measured." if told else ""
    return " ".join(told) + clock


def _bars(ax, results, quantity, what, title, scale=1.0):
    """Draw a bar per package, the least on top."""
    jobs = [job for job in NAMES if job != "floor" or quantity == "epoch"]
    medians = {job: results.median(quantity, job, *what) / scale for job in jobs}
    medians = pd.Series(medians).dropna().sort_values(ascending=False)
    colors = [COLORS.get(job, "tab:blue") for job in medians.index]
    ax.barh([NAMES[job] for job in medians.index], medians, color=colors)
    ax.set_xlabel(title)
    ax.grid(axis="x", alpha=0.3)


def _growth(ax, results):
    """Draw seconds per epoch over size, a line per series."""
    for name, title in AXES.items():
        medians = series(results, name)
        if len(medians):
            ax.loglog(medians.index, medians["epoch"], "o-", label=title)
    if ax.lines:
        # Lines rise to the right: the lower edge is given room for the names.
        ax.set_ylim(bottom=ax.get_ylim()[0] / 8)
        ax.legend(loc="lower right", ncols=2, fontsize="small")
    ax.set_xlabel("size")
    ax.set_ylabel("skvae: seconds per epoch")
    ax.grid(alpha=0.3)


def draw(results, path):
    """Draw the figure: training, answers, memory, start-up, growth."""
    figure, axes = plt.subplots(3, 3, figsize=(13, 9), layout="constrained")
    for ax, batch_size in zip(axes[0], BATCH_SIZES, strict=True):
        title = f"seconds per epoch, batch {batch_size}"
        _bars(ax, results, "epoch", ("train", batch_size), title)
    for ax, quantity in zip(axes[1], ("encode", "decode", "sample"), strict=True):
        title = f"{quantity}: thousand rows per second"
        _bars(ax, results, quantity, ("answers",), title, 1000)
        ax.invert_yaxis()
    title = "peak memory above the rows, MB, batch 100"
    _bars(axes[2, 0], results, "peak_mb", ("train", 100), title)
    _bars(axes[2, 1], results, "start", ("start",), "import and first fit, seconds")
    _growth(axes[2, 2], results)
    figure.savefig(path, dpi=100)
    plt.close(figure)


def write_page(results, verdicts, most_foreign, folder):
    """Write the page and its figure into a folder."""
    lines = results.lines
    peers = lines[lines["changes"] == ""]
    trained = peers[peers["measure"] == "train"]
    answered = peers[peers["measure"] == "answers"]
    found = {}
    for mapping in lines["versions"]:
        found |= mapping
    page = PAGE.format(
        n_rows=trained["n_rows"].max(),
        data=trained["data"].iloc[-1],
        n_cpus=lines["n_cpus"].iloc[-1],
        cpu=lines["cpu"].iloc[-1],
        n_threads=lines["n_threads"].iloc[-1],
        n_rounds=trained["round"].nunique(),
        n_answered=answered.groupby("job")["round"].nunique().min(),
        n_grown=lines[lines["changes"] != ""]["round"].nunique(),
        n_epochs=1 + int(trained["n_epochs"].iloc[-1]),
        data_mb=trained["data_mb"].max(),
        relative_error=f"{lines['relative_error'].max():.0e}",
        foreign=peers["foreign"].median(),
        most_foreign=most_foreign,
        claims="\n".join(f"- {line}" for line in verdicts),
        training=csv_table(training_table(results)),
        quality=quality_text(results),
        answers=csv_table(answer_table(results)),
        memory=csv_table(memory_table(results)),
        scaling=csv_table(scaling_table(results)),
        versions=", ".join(f"{name} {found[name]}" for name in sorted(found)),
    )
    (folder / "speed.rst").write_text(page)
    draw(results, folder / "speed.png")
