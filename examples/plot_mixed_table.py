"""
===================================================
Can one model read numbers, counts and categories?
===================================================

A table with columns of every kind and with gaps goes into `VAETransformer` as it
is. The answers come back as such a table: made-up rows, gaps filled in, and, for each
row, how usual it is.

Out of the box the table is made up, so that nothing has to be downloaded. Run
``python plot_mixed_table.py --census`` to have the 48,842 people of the "adult" census
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
    """Return people whose age and schooling say something of the rest."""
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
    said = {"capital-gain": "student_t", "capital-loss": "student_t"}
    numeric, category = "hours-per-week", "marital-status"
else:
    people = make_people()
    said = {"pay": "log_normal", "children": "poisson"}
    numeric, category = "pay", "trade"
    rng = np.random.default_rng(1)
    for name in ("pay", "schooling", "trade"):
        people.loc[rng.random(len(people)) < 0.15, name] = np.nan
print(people.head())

# %%
# The model
# ---------
# Types say what most columns are: numbers are Gaussian, booleans Bernoulli, categories
# categorical. What types cannot say, the dict does.

vae = VAETransformer(2, likelihood=said, random_state=0).fit(people)
print(f"{vae.n_active_components_} of 2 components carry something")

LatentDisplay.from_estimator(vae, people, y=people[category].astype(str))

# %%
# Rows that never were
# --------------------

made_up = vae.sample(len(people), random_state=0)
print(made_up.head())

figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
axes[0].hist(
    [people[numeric].dropna(), made_up[numeric]],
    bins=np.linspace(*np.nanquantile(people[numeric], [0.0, 0.99]), 25),
    density=True,
    label=["real", "made up"],
)
axes[0].set(xlabel=numeric, yticks=[])
axes[0].legend()
shares = pd.DataFrame(
    {
        "real": people[category].value_counts(normalize=True),
        "made up": made_up[category].value_counts(normalize=True),
    }
)
shares.plot.barh(ax=axes[1], legend=False)
axes[1].set(ylabel="", xlabel="share of rows")

# %%
# Gaps
# ----
# `impute` fills them, and changes nothing else.

gaps = people[people.isna().any(axis=1)].head()
print(gaps)
print(vae.impute(gaps))

# %%
# The least usual rows
# --------------------
# A score adds up log-densities of numbers and log-probabilities of categories.

print(people.iloc[np.argsort(vae.score_samples(people))[:5]])
plt.show()
