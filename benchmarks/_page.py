"""The page and the figure that show the results of the quality benchmark."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

NAMES = {
    "pca": "PCA",
    "factor_analysis": "FactorAnalysis",
    "autoencoder": "AutoencoderTransformer",
    "vae": "VAETransformer",
    "classic": "classic VAE",
    "mlp": "MLPRegressor",
    "encdr": "encdr, autoencoder",
    "encdr_vae": "encdr, VAE",
    "pythae": "pythae",
    "pyod": "pyod",
    "umap": "UMAP",
}
SHORT = {"factor_analysis": "FA", "autoencoder": "AE", "vae": "VAE", "mlp": "MLP"}
COLORS = {"recipe": "tab:blue", "held out": "tab:orange"}
MARKERS = ("o", "s", "^", "D", "v", "P")

PAGE = """\
=======================
How good defaults are
=======================

.. Written by benchmarks/quality.py --report; edit benchmarks/_page.py instead.

{n_sets} data sets, {n_recipe} of them looked at while the defaults were chosen and
{n_held_out} set aside until they were fixed; components: {ks}; random splits into
training and test rows: {n_seeds}. Every method gets its defaults, one thread, and rows
in their raw units. All figures are for test rows.

.. image:: quality.png
   :alt: Gain of VAETransformer over probabilistic PCA in log-likelihood, gain over PCA
      in R2, and trustworthiness of maps, one row per data set

Do the claims hold?
===================

{claims}

How to read it
==============

- *Log-likelihood* is the mean over test rows, in nats and in the units of the data;
  *gain* is its difference to that of probabilistic PCA (PPCA) on standardized columns,
  with the standard error of the mean over rows.
- *R2* sums the squared errors over standardized columns. PCA is given twice: its
  projection, and PPCA's decoded posterior mean, which is shrunk and is the fair
  counterpart of a VAE's.
- Columns that are constant in the training rows are left out, and noise has a floor in
  all models: what rounding alone gives the finest of the standardized columns (in
  FactorAnalysis each column), and at least 1e-8 of its variance. The density of a
  constant column, or of an exactly collinear table, is unbounded otherwise. On such
  tables ("energy") a gain is a matter of the floors.
- pythae's density is the one that its `get_nll` estimates, with noise of variance one
  on columns in [0, 1]; it is low by construction, so its R2 is given as well. encdr,
  pyod, MLPRegressor and UMAP have no density.
- UMAP is made to keep nearest neighbors and does nothing else; a VAE's map also has to
  decode and to score rows, so it is not expected to keep neighbors as well (table
  below). To see which rows are alike, use UMAP; to rebuild, generate or score rows, use
  a VAE; where its gain over PCA is small, PCA is faster.
- Times are wall-clock seconds of one thread on a machine that ran other fits beside it.
  Other packages fit in a fresh process each, so UMAP's time includes compiling, about
  ten seconds.

Two components
==============

Means over the data sets on which every method shown ran, and the median time of a fit.
Trustworthiness and continuity are of {n_neighbors} neighbors; accuracy is that of a
5-nearest-neighbor classifier in the map, on the data sets with classes.

{maps}

Each data set
=============

Means over splits. `ll` is the gain in log-likelihood over PPCA, in nats per row.

{table}
"""


def csv_table(frame, widths="auto"):
    """Return a data frame as a table of the page."""
    lines = [".. csv-table::", "   :header-rows: 1", f"   :widths: {widths}", ""]
    text = frame.to_csv(index=False, lineterminator="\n")
    return "\n".join(lines + ["   " + line for line in text.splitlines()])


def _number(x, digits=2):
    if pd.isna(x):
        return "–"
    if abs(x) >= 1e5:
        return f"{x:.1e}"
    return f"{x:.{digits}f}"


def map_table(cases):
    """Return the measures of maps in two components, a row per method."""
    rows = cases.rows[cases.rows["k"] == 2]
    rows = rows[rows["method"].isin(NAMES)]
    n_methods = rows["method"].nunique()
    by_set = rows.groupby("dataset")["method"].nunique()
    rows = rows[rows["dataset"].isin(by_set.index[by_set == n_methods])]
    lines = []
    for method, name in NAMES.items():
        mine = rows[rows["method"] == method]
        if mine.empty:
            continue
        line = {"method": name, "data sets": mine["dataset"].nunique()}
        for measure, title in (
            ("trustworthiness", "trustworthiness"),
            ("continuity", "continuity"),
            ("knn", "accuracy"),
        ):
            known = measure in mine and mine[measure].notna().any()
            line[title] = _number(mine[measure].mean() if known else np.nan, 3)
        line["seconds"] = _number(mine["seconds"].median())
        lines.append(line)
    return pd.DataFrame(lines)


def case_table(cases):
    """Return the measures of each data set and number of components."""
    by_case = cases.wide.groupby(level=["dataset", "k"], sort=False)
    means = by_case.mean(numeric_only=True)
    means = means.sort_values(("n_train", "pca"), kind="stable")
    known = means.columns[means.notna().any()]
    lines = []
    for (dataset, k), row in means.iterrows():
        role = by_case.get_group((dataset, k)).index[0][1]
        line = {"data set": dataset + (" \\*" if role == "held out" else "")}
        size = {"rows": row["n_train", "pca"], "columns": row["n_columns", "pca"]}
        line |= {name: _number(value, 0) for name, value in size.items()}
        line |= {"k": k, "R2 PCA": _number(row.get(("r2", "pca")))}
        line["R2 PPCA"] = _number(row.get(("r2_posterior", "pca")))
        for measure, title in (("r2", "R2"), ("gain", "ll")):
            for method in NAMES:
                if method != "pca" and (measure, method) in known:
                    name = f"{title} {SHORT.get(method, method)}"
                    line[name] = _number(row[measure, method])
        line["VAE seconds"] = _number(row.get(("seconds", "vae")), 1)
        lines.append(line)
    return pd.DataFrame(lines)


def _dots(ax, values, order):
    """Draw a dot per case in the row of its data set; a marker per k."""
    ks = sorted(values.index.unique("k"))
    for (dataset, role, k, _), value in values.items():
        ax.plot(
            value,
            order[dataset],
            MARKERS[ks.index(k) % len(MARKERS)],
            color=COLORS[role],
            markersize=4,
            alpha=0.7,
        )
    ax.axvline(0, color="0.5", linewidth=1)
    ax.grid(axis="x", alpha=0.3)


def _maps(ax, cases, order):
    """Draw the trustworthiness of maps by PCA, the VAE and UMAP."""
    for method, color in (("pca", "0.6"), ("vae", "tab:green"), ("umap", "tab:red")):
        values = cases.get("trustworthiness", method).dropna()
        if values.empty:
            continue
        means = values.groupby(level="dataset").mean()
        rows = [order[name] for name in means.index]
        ax.plot(means, rows, "o", color=color, markersize=5, label=NAMES[method])
    ax.set_xlabel("trustworthiness, k = 2")
    ax.grid(alpha=0.3)


def draw(cases, path):
    """Draw the figure: gains over PCA, and how well maps keep neighbors."""
    names = cases.rows["dataset"].drop_duplicates().tolist()
    order = {name: -i for i, name in enumerate(names)}
    size = (12, 1.6 + 0.24 * len(names))
    figure, axes = plt.subplots(1, 3, figsize=size, sharey=True, layout="constrained")
    columns = cases.get("n_columns", "vae")
    _dots(axes[0], (cases.get("gain", "vae") / columns).dropna(), order)
    axes[0].set_xscale("symlog", linthresh=0.1)
    axes[0].set_xlabel("log-likelihood - PPCA's, nats per column")
    vae, pca = cases.pair(("r2", "vae"), ("r2", "pca"))
    _dots(axes[1], (vae - pca).dropna(), order)
    axes[1].set_xlabel("R2 - PCA's")
    _maps(axes[2], cases, order)
    axes[0].set_yticks(list(order.values()), names)
    handles = [
        plt.Line2D([], [], marker="o", color=color, linestyle="", label=role)
        for role, color in COLORS.items()
    ]
    ks = sorted(cases.wide.index.unique("k"))
    handles += [
        plt.Line2D([], [], marker=marker, color="k", linestyle="", label=f"k = {k}")
        for k, marker in zip(ks, MARKERS, strict=False)
    ]
    handles += axes[2].get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    figure.savefig(path, dpi=100)
    plt.close(figure)


def write_page(cases, lines, folder):
    """Write the page and its figure into a folder."""
    index = cases.wide.index
    roles = index.to_frame(index=False).drop_duplicates("dataset")["role"]
    page = PAGE.format(
        n_sets=len(roles),
        n_recipe=int((roles == "recipe").sum()),
        n_held_out=int((roles == "held out").sum()),
        ks=", ".join(str(k) for k in sorted(index.unique("k"))),
        n_seeds=len(index.unique("seed")),
        n_neighbors=12,
        claims="\n".join(f"- {' '.join(line.split())}" for line in lines),
        maps=csv_table(map_table(cases)),
        table="\\* set aside until the defaults were fixed\n\n"
        + csv_table(case_table(cases)),
    )
    (folder / "quality.rst").write_text(page)
    draw(cases, folder / "quality.png")
