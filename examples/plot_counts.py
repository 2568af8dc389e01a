"""
==============================
Choose a likelihood for counts
==============================

This example fits three models to the same counts and compares their scores of held-out
rows. The counts are those of scikit-learn's digits: each number is how many of the 16
cells of a block of pixels were inked.

To use counts of genes in cells instead, run ``python plot_counts.py --cells``. It reads
``counts/starmap_mpfc.npz`` in the folder that the environment variable ``SKVAE_DATA``
names; without that file it downloads newsgroup posts and counts their words.
"""

# %%
# The counts
# ----------

import os
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.cluster import KMeans
from sklearn.datasets import fetch_20newsgroups, load_digits
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import train_test_split

from skvae import VAETransformer
from skvae.likelihoods import NegativeBinomial


def load_large():
    """Return counts of genes in cells, or of words in posts, and labels of rows."""
    path = Path(os.environ.get("SKVAE_DATA", "")) / "counts" / "starmap_mpfc.npz"
    if "SKVAE_DATA" in os.environ and path.exists():
        with np.load(path) as file:
            return file["X"].astype(float), file["labels"]
    posts = fetch_20newsgroups(remove=("headers", "footers", "quotes"))
    words = CountVectorizer(stop_words="english", max_features=500)
    X = words.fit_transform(posts.data).toarray().astype(float)
    some = X.sum(axis=1) >= 20
    return X[some], posts.target[some]


X, y = load_large() if "--cells" in sys.argv[1:] else load_digits(return_X_y=True)
X_train, X_test, _, y_test = train_test_split(X, y, random_state=0)
print(f"{len(X)} rows, {X.shape[1]} columns, {np.mean(X == 0):.0%} zeros")

# %%
# Overdispersion
# --------------
# The variance of a Poisson count equals its mean; the dotted line shows these counts.
# If a column lies above the line, either the components explain the additional
# variance, or the likelihood has to.

figure, axes = plt.subplots(figsize=(4.4, 4), layout="constrained")
mean, variance = X_train.mean(axis=0), X_train.var(axis=0)
counted = mean > 0.01
axes.loglog(mean[counted], variance[counted], ".")
axes.axline((0.1, 0.1), (1.0, 1.0), color="k", linestyle=":")
axes.set(xlabel="mean of a column", ylabel="variance")

# %%
# Scores of held-out rows
# -----------------------
# All three scores are the logarithm of the probability of a row of counts. On digits,
# where no count exceeds 16, they differ by less than a tenth: the components explain
# most of the additional variance. On counts of genes in cells they do not, and the
# Poisson likelihood is the worst by far. The fits are short.

fitted = {}
for likelihood in ("poisson", "negative_binomial", "zero_inflated_negative_binomial"):
    vae = VAETransformer(
        10,
        likelihood=likelihood,
        hidden_layer_sizes=(64,),
        max_iter=40,
        tol=None,
        random_state=0,
    )
    fitted[likelihood] = vae.fit(X_train)
    print(f"{likelihood}: {vae.score(X_test):.1f} nats per row")

# %%
# Clusters
# --------
# How well do clusters of the components agree with the labels of rows, which no method
# has seen? With size factors the model conditions on each row's total, which suits
# cells of different depth; see the user guide. Its scores condition on the totals too,
# so they cannot be compared with those above. A normal prior pulls clusters together:
# on digits PCA separates them better.

sized = VAETransformer(
    10,
    likelihood=NegativeBinomial(size_factor=True),
    hidden_layer_sizes=(64,),
    max_iter=40,
    tol=None,
    random_state=0,
).fit(X_train)
linear = PCA(10).fit(np.log1p(X_train))
embeddings = {name: vae.transform(X_test) for name, vae in fitted.items()}
embeddings["negative_binomial, size factors"] = sized.transform(X_test)
embeddings["PCA of log1p"] = linear.transform(np.log1p(X_test))
k_means = KMeans(len(np.unique(y)), n_init=10, random_state=0)
for name, Z in embeddings.items():
    agreement = adjusted_rand_score(y_test, k_means.fit_predict(Z))
    print(f"{name}: adjusted Rand index {agreement:.3f}")

# %%
# Generated counts
# ----------------
# The model generates whole rows. Each column is zero about as often as in the data.

drawn = fitted["zero_inflated_negative_binomial"].sample(len(X_train), random_state=0)
figure, axes = plt.subplots(figsize=(4.4, 4), layout="constrained")
axes.plot((X_train == 0).mean(axis=0), (drawn == 0).mean(axis=0), ".")
axes.axline((0.0, 0.0), slope=1, color="k", linestyle=":")
axes.set(xlabel="fraction of zeros in the data", ylabel="in generated rows")
plt.show()
