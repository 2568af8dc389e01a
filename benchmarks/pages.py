"""Pages: a template of prose and the tables, conclusions and verdicts that fill it."""

from pathlib import Path

import claims
import numpy as np
import pandas as pd
from results import Results, read

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / "docs" / "benchmarks"


def csv_table(frame):
    """Return a data frame as a table in reStructuredText."""
    text = frame.to_csv(index=False, lineterminator="\n")
    lines = [".. csv-table::", "   :header-rows: 1", "   :widths: auto", ""]
    return "\n".join(lines + ["   " + line for line in text.splitlines()])


def number(x, digits=3):
    """Return a number with so many significant digits, a dash for none."""
    if pd.isna(x):
        return "–"
    decimals = max(0, digits - 1 - int(np.floor(np.log10(abs(x))))) if x else 0
    return f"{x:,.{decimals}f}"


def fixed(x, decimals=2):
    """Return a number with so many decimals, a dash for none."""
    if pd.isna(x):
        return "–"
    return f"{x:.1e}" if abs(x) >= 1e5 else f"{x:.{decimals}f}"


def table(frame, title, form=number, best=None):
    """Return a data frame as a table with its index as the first column.

    Parameters
    ----------
    frame : DataFrame
    title : str
        What the index names.
    form : callable or int
        Makes numbers text; an int is a number of decimals. Text stays as it is.
    best : {"min", "max"} or None
        What is bold in a row.
    """

    def text_of(x):
        if isinstance(x, str):
            return x
        return fixed(x, form) if isinstance(form, int) else form(x)

    text = frame.map(text_of)
    if best:
        is_best = frame.eq(frame.agg(best, axis=1), axis=0)
        text = text.mask(is_best, "**" + text + "**")
    text.insert(0, title, frame.index)
    return csv_table(text)


def page(benchmark):
    """Return the text of a page, and the results and claims that it shows."""
    name = benchmark.__name__
    results = Results(read(HERE / "results" / f"{name}.csv"))
    made = benchmark.verdicts(results)
    fields = benchmark.fields(results) | {"n_seeds": results.n_seeds()}
    template = (HERE / "templates" / f"{name}.rst").read_text("utf-8")
    verdicts = csv_table(claims.table(made.values()))
    return template.format(claims=verdicts, claim=made, **fields), results, made


def write(benchmark, folder=FOLDER):
    """Write a page and its figure, and print the claims that fail, and where."""
    text, results, made = page(benchmark)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{benchmark.__name__}.rst").write_text(text, "utf-8")
    if hasattr(benchmark, "draw"):
        benchmark.draw(results, folder / f"{benchmark.__name__}.png")
    for claim in made.values():
        if "fails" in claim.verdict:
            print(f"fails: {claim.text}: {claim.found}, needed {claim.needed}")
            print("".join(f"    {case}\n" for case in claim.broken), end="")
