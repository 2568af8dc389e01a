"""
==========================================
Which likelihood do counts ask for?
==========================================

Three models of the same counts, told apart by what they say of rows that they have not
seen. The counts are those of scikit-learn's digits: each number says how many of the
16 cells of a block of pixels were inked.

To see counts of cells instead, run ``python plot_counts.py --cells``. It reads
``counts/starmap_mpfc.npz`` in the folder that the environment variable ``SKVAE_DATA``
names, or else downloads the words of newsgroup posts, which are counts too.
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
    """Return counts of genes in cells, or of words in posts, and kinds of rows."""
    path = Path(os.environ.get("SKVAE_DATA", "")) / "counts" / "starmap_mpfc.npz"
    if "SKVAE_DATA" in os.environ and path.exists():
        with np.load(path) as file:
            return file["X"].astype(float), file["labels"]
    posts = fetch_20newsgroups(remove=("headers", "footers", "quotes"))
    words = CountVectorizer(stop_words="english", max_features=500)
    X = words.fit_transform(posts.data).toarray().astype(float)
    some = X.sum(axis=1) >= 20
    return X[some], posts.target[some]


X, kind = load_large() if "--cells" in sys.argv[1:] else load_digits(return_X_y=True)
X_train, X_test, _, kind_test = train_test_split(X, kind, random_state=0)
print(f"{len(X)} rows, {X.shape[1]} columns, {np.mean(X == 0):.0%} zeros")

# %%
# More than chance
# ----------------
# A Poisson count varies as much as its mean, on the line. Where columns lie above it,
# either the components explain the rest, or the likelihood has to.

figure, axes = plt.subplots(figsize=(4.4, 4), layout="constrained")
mean, variance = X_train.mean(axis=0), X_train.var(axis=0)
counted = mean > 0.01
axes.loglog(mean[counted], variance[counted], ".")
axes.axline((0.1, 0.1), (1.0, 1.0), color="k", linestyle=":")
axes.set(xlabel="mean of a column", ylabel="variance")

# %%
# Scores of held-out rows
# -----------------------
# All three are logarithms of the probability of a row of counts. On digits, where no
# count exceeds 16, they hardly differ: the components explain most that is beyond
# chance. Of counts of cells they do not, and there the Poisson likelihood is the worst
# by far. The fits are short.

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
# How well do clusters of the components agree with kinds of rows, which no method was
# told? With size factors the model is given each row's total, which suits cells of
# different depth; see the user guide. Its scores are given the totals, too, and so are
# not set beside those above. A normal prior draws clusters together: on digits PCA
# keeps them apart better.

sized = VAETransformer(
    10,
    likelihood=NegativeBinomial(size_factor=True),
    hidden_layer_sizes=(64,),
    max_iter=40,
    tol=None,
    random_state=0,
).fit(X_train)
linear = PCA(10).fit(np.log1p(X_train))
codes = {name: vae.transform(X_test) for name, vae in fitted.items()}
codes["negative_binomial, size factors"] = sized.transform(X_test)
codes["PCA of log1p"] = linear.transform(np.log1p(X_test))
for name, code in codes.items():
    clusters = KMeans(len(np.unique(kind)), n_init=10, random_state=0).fit_predict(code)
    print(f"{name}: adjusted Rand index {adjusted_rand_score(kind_test, clusters):.3f}")

# %%
# Counts out
# ----------
# The model draws whole rows. Their columns are zero as often as those of the data.

drawn = fitted["zero_inflated_negative_binomial"].sample(len(X_train), random_state=0)
figure, axes = plt.subplots(figsize=(4.4, 4), layout="constrained")
axes.plot((X_train == 0).mean(axis=0), (drawn == 0).mean(axis=0), ".")
axes.axline((0.0, 0.0), slope=1, color="k", linestyle=":")
axes.set(xlabel="part of zeros in the data", ylabel="in rows drawn")
plt.show()
