"""Rows of results, and what is asked of them."""

import csv

import pandas as pd

CASE = ["data", "split", "seed"]
FIT = [*CASE, "method"]
COLUMNS = [*FIT, "measure", "value", "version"]
MOST_FOREIGN = 0.05
"""Fraction of the CPUs that other processes may take; a fit with more is repeated."""


def read(path):
    """Return the newest row of each measurement, in the order of the file.

    The error of a fit that succeeded later is left out.
    """
    rows = pd.read_csv(path, dtype=str, keep_default_na=False)
    rows = rows.drop_duplicates([*FIT, "measure"], keep="last")
    return rows[rows["measure"].ne("error") | ~rows.duplicated(FIT, keep=False)]


def append(path, case, method, measures, version):
    """Append a row per measure of a fit."""
    is_new = not path.exists()
    with path.open("a", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerows([COLUMNS] if is_new else [])
        for measure, value in measures.items():
            value = f"{value:.6g}" if isinstance(value, float) else value
            out.writerow([*case, method, measure, value, version])


def numbers(values):
    """Return text as numbers, NaN where it is none."""
    return pd.to_numeric(values, errors="coerce")


def disturbed(rows):
    """Return which rows belong to fits that other processes disturbed."""
    fits = pd.MultiIndex.from_frame(rows[FIT])
    foreign = rows["measure"].eq("foreign") & numbers(rows["value"]).gt(MOST_FOREIGN)
    return pd.Series(fits.isin(fits[foreign]), rows.index)


def finished(path):
    """Return the (data, split, seed, method) that need not be measured again."""
    if not path.exists():
        return set()
    rows = read(path)
    done = rows[rows["measure"].ne("error") & ~disturbed(rows)]
    return set(done[FIT].itertuples(index=False, name=None))


class Results:
    """Values by measure and method, each a Series over (data, split, seed).

    Disturbed fits are left out where their case has others.
    """

    def __init__(self, rows):
        clean = ~disturbed(rows)
        some = clean.groupby([rows[name] for name in ("data", "split", "method")])
        self.rows = rows[clean | ~some.transform("any")]
        values = numbers(self.rows.set_index([*CASE, "measure", "method"])["value"])
        groups = values.groupby(level=["measure", "method"], sort=False)
        self.series = {key: group.droplevel([3, 4]) for key, group in groups}
        self.none = values.droplevel([3, 4])[:0]

    def clean(self):
        """Return the results of fits that other processes left alone."""
        return Results(self.rows[~disturbed(self.rows)])

    def get(self, measure, method):
        """Return a measure of a method; NaN where its fit failed."""
        names = (measure, method), ("error", method)
        known = pd.concat([self.series.get(name, self.none) for name in names])
        return known[~known.index.duplicated()]

    def pair(self, one, other):
        """Return two measures, each (measure, method), of the cases that have both.

        Where the fit of the first failed it is NaN, so that no comparison holds.
        """
        a, b = self.get(*one), self.get(*other).dropna()
        both = a.index.intersection(b.index, sort=False)
        return a[both], b[both]

    def table(self, measure, methods, by=("data",)):
        """Return means over seeds, a row per case and a column per method."""
        columns = {
            name: self.get(measure, name).groupby(level=list(by), sort=False).mean()
            for name in methods
        }
        return pd.concat(columns, axis=1, sort=False)

    def medians(self):
        """Return medians over seeds by (split, method), a column per measure."""
        rows = self.rows.assign(value=numbers(self.rows["value"]))
        return rows.pivot_table("value", ["split", "method"], "measure", "median")

    def n_seeds(self):
        """Return how many seeds there are."""
        return len({seed for seed in self.rows["seed"] if seed})

    def versions(self):
        """Return each package with its version, and each machine, once."""
        items = {
            item for text in set(self.rows["version"]) for item in text.split(", ")
        }
        return ", ".join(sorted(items - {""}))
