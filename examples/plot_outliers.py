"""
========================================
Which tumors are unlike the benign ones?
========================================

`VAEOutlierDetector` has the interface of scikit-learn's outlier detectors. Here
it is set beside two of them: 357 benign tumors, 20 malignant ones among them that
nobody has marked, and the question which rows stand out.

To see it on a larger table, with the tumors of no one in it, run
``python plot_outliers.py --shuttle``, which downloads 58,000 rows from OpenML.
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
    X, kind = fetch_openml("shuttle", version=1, return_X_y=True, as_frame=False)
    X, is_outlier = X.astype(float), kind != "1"
else:
    X, benign = load_breast_cancer(return_X_y=True)
    X = np.r_[X[benign == 1], X[benign == 0][:20]]
    is_outlier = np.r_[np.zeros(357, dtype=bool), np.ones(20, dtype=bool)]
print(f"{len(X)} rows, {is_outlier.mean():.0%} of them outliers")

# %%
# Three detectors
# ---------------
# None is told which rows are outliers, nor how many.

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
# Where the line is drawn
# -----------------------
# `contamination` says which part of the training rows `predict` calls outliers. It
# moves the line, and not the scores.

detector = VAEOutlierDetector(contamination=0.05, random_state=0).fit(X)
scores = detector.score_samples(X)
called = detector.predict(X) == -1
print(
    f"{called.sum()} rows called outliers, {is_outlier[called].sum()} of them rightly"
)

figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
bins = np.linspace(np.quantile(scores, 0.005), scores.max(), 40)
for label, rows in (("others", ~is_outlier), ("outliers", is_outlier)):
    axes.hist(scores[rows].clip(bins[0]), bins, alpha=0.6, label=label)
axes.axvline(detector.offset_, color="k", linestyle=":", label="offset_")
axes.set(xlabel="score", ylabel="rows", yscale="log")
axes.legend()
plt.show()
