"""
================================
Choose features for a classifier
================================

Dimension reduction is rarely an end in itself. In this example a nearest-neighbor
classifier recognizes handwritten digits from 2, 5 or 10 numbers per image, and
cross-validation decides which transformer computes these numbers. All three
transformers are the same step of the same pipeline, so one grid covers them.
"""

# %%
# One pipeline, one grid
# ----------------------
# A step of a pipeline is a parameter like any other: the grid lists transformers for
# the step just as it lists numbers for ``n_components``. To keep the example short, the
# autoencoders train for at most a hundred epochs, fewer than by default.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from skvae import AutoencoderTransformer, VAETransformer

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

pipeline = Pipeline([("embed", PCA()), ("classify", KNeighborsClassifier())])
grid = {
    "embed": [
        PCA(random_state=0),
        AutoencoderTransformer(max_iter=100, random_state=0),
        VAETransformer(max_iter=100, random_state=0),
    ],
    "embed__n_components": [2, 5, 10],
}
print(f"Searching among 9 embeddings of {len(X_train)} images", flush=True)
search = GridSearchCV(pipeline, grid, cv=3).fit(X_train, y_train)
print(f"Best accuracy in three folds: {search.best_score_:.3f}")

# %%
# Cross-validated accuracy
# ------------------------
# Bars are mean accuracies over three folds of the training images. Error bars are one
# standard deviation.

colors = {
    "PCA": "#94a4a2",
    "AutoencoderTransformer": "#ffa90e",
    "VAETransformer": "#3f90da",
}
sizes = grid["embed__n_components"]
# The results are ordered by the parameters' names; the last parameter varies fastest.
shape = (len(colors), len(sizes))
accuracy = search.cv_results_["mean_test_score"].reshape(shape)
spread = search.cv_results_["std_test_score"].reshape(shape)

fig, ax = plt.subplots(figsize=(7, 4), layout="constrained")
width = 0.26
for i, (name, color) in enumerate(colors.items()):
    x = np.arange(len(sizes)) + (i - 1) * width
    bars = ax.bar(x, accuracy[i], width, yerr=spread[i], color=color, label=name)
    ax.bar_label(bars, fmt="{:.2f}", label_type="center")
ax.set_xticks(np.arange(len(sizes)), [f"{size} components" for size in sizes])
ax.set(ylim=(0, 1), ylabel="cross-validated accuracy")
ax.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1), frameon=False)
plt.show()

# %%
# The choice
# ----------
# The search has refitted the best pipeline to all training images. The test images were
# not used for the choice.
#
# Nonlinear embeddings help with two components: both autoencoders separate digits that
# overlap under PCA. Ten linear components are enough for these small images, and
# nearest neighbors classify best with them. An embedding that reconstructs well need
# not classify well, so let the search decide.

best = search.best_params_
print(f"chosen: {best['embed']} with {best['embed__n_components']} components")
print(f"test accuracy: {search.score(X_test, y_test):.3f}")
