"""
=====================
Fill in missing cells
=====================

This example removes a third of the cells of a table and fills them in with four
imputers. It measures the errors of all four. The variational autoencoder can also draw
plausible values of a missing cell; the example checks whether intervals of such draws
contain the true values as often as they should.

The table is the wine data that comes with scikit-learn: 178 wines, 13 measurements.
"""

# %%
# The table
# ---------
# Cells are removed completely at random. Errors are in standard deviations of the
# column, so that all columns count equally.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer

from skvae import VAEImputer

wine = load_wine()
X = wine.data
missing = np.random.default_rng(0).random(X.shape) < 1 / 3
X_missing = np.where(missing, np.nan, X)
scale = X.std(axis=0)
print(f"{missing.sum()} of {X.size} cells removed")

# %%
# Four imputers
# -------------

imputers = {
    "mean": SimpleImputer(),
    "5 neighbors": KNNImputer(),
    "iterative ridge": IterativeImputer(random_state=0),
    "VAE": VAEImputer(random_state=0),
}
errors = {}
for name, imputer in imputers.items():
    filled = imputer.fit_transform(X_missing)
    errors[name] = np.square((filled - X) / scale)[missing].mean()
    print(f"{name:>16}: mean squared error {errors[name]:.3f}")

figure, axes = plt.subplots(figsize=(6, 2.6), layout="constrained")
axes.barh(list(errors), list(errors.values()))
axes.invert_yaxis()
axes.set_xlabel("mean squared error of missing cells, standardized")

# %%
# Uncertainty
# -----------
# The fitted model draws missing cells given the observed cells of the same row. The
# interval from the 5 % to the 95 % quantile of many draws should contain nine true
# values in ten.

draws = imputers["VAE"].estimator_.impute(X_missing, n_draws=200)
low, high = np.quantile(draws, [0.05, 0.95], axis=0)
covered = ((low <= X) & (X <= high))[missing].mean()
print(f"true values within their interval: {covered:.0%}")

column = wine.feature_names.index("flavanoids")
rows = np.flatnonzero(missing[:, column])
rows = rows[np.argsort(X[rows, column])]
middle = draws.mean(axis=0)[rows, column]
place = np.arange(len(rows))

figure, axes = plt.subplots(figsize=(7, 3.4), layout="constrained")
axes.vlines(place, low[rows, column], high[rows, column], color="0.75", label="90 %")
axes.plot(place, middle, "o", markersize=3, label="imputed")
axes.plot(place, X[rows, column], "k_", label="true value")
axes.set(xlabel="wines, by true value", ylabel="flavanoids")
axes.legend()
plt.show()
