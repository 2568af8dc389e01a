"""
============================================
Look at a fit, whatever the table is made of
============================================

This example draws each display on six kinds of tables: numbers with units, a mixed
table with missing cells, counts, images, sparse rows, and booleans. To be quick, the
fits have few epochs and no table is large.
"""

# %%
# Six tables
# ----------
# Each has labels that no fit sees. What has to be said of a table is its likelihood, if
# the types of its columns do not say it, and the shape of its images.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import scipy.sparse
from sklearn.datasets import load_digits, load_wine

from skvae import (
    ComponentsDisplay,
    ExplanationDisplay,
    LatentDisplay,
    LoadingsDisplay,
    LossCurveDisplay,
    ManifoldDisplay,
    ReconstructionDisplay,
    RowComparisonDisplay,
    TraversalDisplay,
    VAETransformer,
)

rng = np.random.default_rng(0)
n = 400
group = rng.integers(3, size=n)


def make_people():
    """Return people whose other columns depend on age and schooling, with gaps."""
    age = rng.uniform(18, 80, n).round()
    schooling = rng.normal(12 - 0.03 * (age - 40), 2.5).clip(4, 20).round()
    pay = np.exp(1.5 + 0.09 * schooling + 0.3 * rng.normal(size=n)).round(2)
    odds = np.c_[schooling - 12, 12 - schooling, schooling - 14]
    trade = (odds + rng.gumbel(size=(n, 3))).argmax(axis=1)
    people = pd.DataFrame(
        {
            "age": age,
            "schooling": schooling,
            "pay": pay,
            "married": rng.random(n) < 1 / (1 + np.exp(-(age - 32) / 6)),
            "trade": np.array(["office", "workshop", "hospital"])[trade],
            "since": pd.Timestamp("2026-01-01") - pd.to_timedelta(age * 200, unit="D"),
        }
    )
    for name in ("schooling", "pay", "trade"):
        people[name] = people[name].mask(rng.random(n) < 0.15)
    return people


wine, digits = load_wine(as_frame=True), load_digits()
images, digit = digits.data[:800] / 16, digits.target[:800]
rates = rng.gamma(1.0, 4.0, size=(3, 12))[group]
words = rng.poisson(rng.gamma(0.1, 4.0, size=(3, 60))[group])
sparse = scipy.sparse.csr_array(words)
asked = [f"question {k}" for k in range(1, 21)]
answers = rng.random((n, 20)) < rng.choice([0.1, 0.9], size=(3, 20))[group]
people = make_people()

tables = {
    "numbers": (wine.data, wine.target, {}, None),
    "mixed, with gaps": (people, people["trade"], {}, None),
    "counts": (rng.poisson(rates), group, {"likelihood": "poisson"}, None),
    "images": (images, digit, {"likelihood": "bernoulli"}, (8, 8)),
    "sparse rows": (sparse, group, {"likelihood": "poisson"}, None),
    "booleans": (pd.DataFrame(answers, columns=asked), group, {}, None),
}
fits = {}
for name, (X, _, options, _) in tables.items():
    fits[name] = VAETransformer(2, max_iter=40, random_state=0, tol=None, **options)
    fits[name].fit(X)
    print(f"{name}: {X.shape[0]} rows, {X.shape[1]} columns, fitted")

# %%
# Where rows are
# --------------

for name, (X, y, _, _) in tables.items():
    LatentDisplay.from_estimator(fits[name], X, y).ax_.set_title(name)

# %%
# What lies in between
# --------------------
# Images are drawn as such, other rows as lines over the columns.

for name, (_, _, _, shape) in tables.items():
    smooth = {} if shape is None else {"cmap": "gray_r", "interpolation": "bilinear"}
    display = ManifoldDisplay.from_estimator(
        fits[name], n_cells=9, image_shape=shape, **smooth
    )
    display.ax_.set_title(name)

# %%
# What the model makes of rows
# ----------------------------

for name, (X, _, _, shape) in tables.items():
    display = ReconstructionDisplay.from_estimator(
        fits[name], X, n_samples=6, image_shape=shape
    )
    display.ax_.set_title(name)

# %%
# What a component does to a row
# ------------------------------

for name, (X, _, _, shape) in tables.items():
    row = X.iloc[:1] if hasattr(X, "iloc") else X[:1]
    display = TraversalDisplay.from_estimator(fits[name], row, image_shape=shape)
    display.figure_.suptitle(name)

# %%
# What drives a component
# -----------------------

for name, (X, _, _, shape) in tables.items():
    display = LoadingsDisplay.from_estimator(fits[name], X, image_shape=shape)
    display.figure_.suptitle(name)

# %%
# How much components explain
# ---------------------------

for name, (X, *_) in tables.items():
    ComponentsDisplay.from_estimator(fits[name], X).figure_.suptitle(name)

# %%
# Why a row is unusual
# --------------------
# It is the one with the least log-density.

for name, (X, *_) in tables.items():
    worst = int(fits[name].score_samples(X).argmin())
    row = X.iloc[[worst]] if hasattr(X, "iloc") else X[[worst]]
    ExplanationDisplay.from_estimator(fits[name], row).ax_.set_title(name)

# %%
# How training went
# -----------------

for name in tables:
    LossCurveDisplay.from_estimator(fits[name]).figure_.suptitle(name)

# %%
# How generated rows differ
# -------------------------
# A map is not made for rows: these fits maximize the bound alone. Draws of Bernoulli
# cells are black or white, so that they are told from gray images at once.

for name, (X, _, options, _) in tables.items():
    options = {"max_iter": 20, "tol": None, "random_state": 0, **options}
    fitted = VAETransformer(2, objective="elbo", **options).fit(X)
    generated = fitted.sample(X.shape[0], random_state=0)
    RowComparisonDisplay.from_rows(X, generated).figure_.suptitle(name)
plt.show()
