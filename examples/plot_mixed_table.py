"""
=============================================
Fit a table of numbers, counts and categories
=============================================

This example fits `VAETransformer` to a table with columns of every kind and with
missing cells. The model then generates rows, fills in missing cells, and scores rows;
generated and completed rows are tables like the one it was fitted to.

By default the table is simulated, so that nothing has to be downloaded. Run
``python plot_mixed_table.py --census`` to use the 48,842 people of the "adult" census
from OpenML instead.
"""

# %%
# The table
# ---------

import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import fetch_openml

from skvae import LatentDisplay, VAETransformer


def make_people(n=1500):
    """Return people whose other columns depend on age and schooling."""
    rng = np.random.default_rng(0)
    age = rng.uniform(18, 80, n)
    schooling = rng.normal(12 - 0.03 * (age - 40), 2.5).clip(4, 20)
    luck = rng.normal(size=n)
    pay = np.exp(1.5 + 0.09 * schooling + 0.01 * np.minimum(age, 55) + 0.3 * luck)
    married = rng.random(n) < 1 / (1 + np.exp(-(age - 32) / 6))
    children = rng.poisson(0.2 + 1.4 * married)
    trades = np.array(["office", "workshop", "hospital", "farm"])
    odds = np.c_[schooling - 12, 12 - schooling, schooling - 14, 9 - schooling]
    trade = trades[(odds + rng.gumbel(size=(n, 4))).argmax(axis=1)]
    return pd.DataFrame(
        {
            "age": age.round(),
            "schooling": schooling.round(),
            "pay": pay.round(2),
            "married": married,
            "children": children,
            "trade": pd.Categorical(trade),
        }
    )


if "--census" in sys.argv[1:]:
    people = fetch_openml("adult", version=2, as_frame=True).data
    likelihood = {"capital-gain": "student_t", "capital-loss": "student_t"}
    numeric, category = "hours-per-week", "marital-status"
else:
    people = make_people()
    likelihood = {"pay": "log_normal", "children": "poisson"}
    numeric, category = "pay", "trade"
    rng = np.random.default_rng(1)
    for name in ("pay", "schooling", "trade"):
        people.loc[rng.random(len(people)) < 0.15, name] = np.nan
print(people.head())

# %%
# The model
# ---------
# By their types, numbers are Gaussian, booleans Bernoulli, and categories categorical.
# The dict names the columns that differ. After ``fit``, ``likelihood_`` shows the
# outcome.

vae = VAETransformer(2, likelihood=likelihood, random_state=0).fit(people)
print(vae.likelihood_)
print(f"{vae.n_active_components_} of 2 components carry information")

LatentDisplay.from_estimator(vae, people, y=people[category].astype(str))

# %%
# Generated rows
# --------------

generated = vae.sample(len(people), random_state=0)
print(generated.head())

figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
axes[0].hist(
    [people[numeric].dropna(), generated[numeric]],
    bins=np.linspace(*np.nanquantile(people[numeric], [0.0, 0.99]), 25),
    density=True,
    label=["data", "generated"],
)
axes[0].set(xlabel=numeric, yticks=[])
axes[0].legend()
fractions = pd.DataFrame(
    {
        "data": people[category].value_counts(normalize=True),
        "generated": generated[category].value_counts(normalize=True),
    }
)
fractions.plot.barh(ax=axes[1], legend=False)
axes[1].set(ylabel="", xlabel="fraction of rows")

# %%
# Missing cells
# -------------
# `impute` fills in missing cells and changes nothing else.

incomplete = people[people.isna().any(axis=1)].head()
print(incomplete)
print(vae.impute(incomplete))

# %%
# The least probable rows
# -----------------------
# A score is the sum of log-densities of numbers and log-probabilities of categories.

print(people.iloc[np.argsort(vae.score_samples(people))[:5]])
plt.show()
