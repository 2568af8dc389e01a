"""
============================
Find outliers without labels
============================

`VAEOutlierDetector` has the interface of scikit-learn's outlier detectors. This example
compares it with two of them. The data are 357 benign tumors and 20 malignant ones,
without labels, and the malignant ones are the outliers to find.

To use a larger table, run ``python plot_outliers.py --shuttle``, which downloads the
58,000 rows of the "shuttle" data set from OpenML.
"""

# %%
# The rows
# --------

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import fetch_openml, load_breast_cancer
from sklearn.ensemble import IsolationForest
from sklearn.metrics import RocCurveDisplay, roc_auc_score
from sklearn.neighbors import LocalOutlierFactor

from skvae import VAEOutlierDetector

if "--shuttle" in sys.argv[1:]:
    X, y = fetch_openml("shuttle", version=1, return_X_y=True, as_frame=False)
    X, is_outlier = X.astype(float), y != "1"
else:
    X, benign = load_breast_cancer(return_X_y=True)
    X = np.r_[X[benign == 1], X[benign == 0][:20]]
    is_outlier = np.r_[np.zeros(357, dtype=bool), np.ones(20, dtype=bool)]
print(f"{len(X)} rows, {is_outlier.mean():.0%} of them outliers")

# %%
# Three detectors
# ---------------
# No detector knows which rows are outliers, or how many there are.

detectors = {
    "VAE": VAEOutlierDetector(random_state=0),
    "isolation forest": IsolationForest(random_state=0),
    "local outlier factor": LocalOutlierFactor(novelty=True),
}
figure, axes = plt.subplots(figsize=(4.8, 4.4), layout="constrained")
for name, detector in detectors.items():
    scores = detector.fit(X).score_samples(X)
    print(f"{name}: area under the curve {roc_auc_score(is_outlier, -scores):.3f}")
    RocCurveDisplay.from_predictions(is_outlier, -scores, name=name, ax=axes)

# %%
# The threshold
# -------------
# `contamination` is the fraction of the training rows that `predict` labels outliers.
# It changes the threshold but not the scores.

detector = VAEOutlierDetector(contamination=0.05, random_state=0).fit(X)
scores = detector.score_samples(X)
labeled = detector.predict(X) == -1
print(f"{labeled.sum()} rows labeled outliers, {is_outlier[labeled].sum()} correctly")

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
bins = np.linspace(np.quantile(scores, 0.005), scores.max(), 40)
for label, rows in (("others", ~is_outlier), ("outliers", is_outlier)):
    axes.hist(scores[rows].clip(bins[0]), bins, alpha=0.6, label=label)
axes.axvline(detector.offset_, color="k", linestyle=":", label="offset_")
axes.set(xlabel="score", ylabel="rows", yscale="log")
axes.legend()
plt.show()
