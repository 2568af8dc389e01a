"""
=========================================
Map rows so that neighbors stay neighbors
=========================================

A map in two dimensions cannot keep all distances among rows. What people look at is
which rows are near each other. This example draws the handwritten digits that come with
scikit-learn by PCA, by a variational autoencoder trained for its bound alone, and by
the default, which keeps neighbors together; measures how many of them each map keeps;
and shows where in the map they are kept.
"""

# %%
# Three maps
# ----------
# All are fitted to three quarters of the images, which are 8 x 8 pixels from 0 to 16.
# No map sees a label.

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split

from skvae import LatentDisplay, VAETransformer
from skvae.inspection import (
    neighbor_accuracy,
    neighbor_recall,
    neighbor_recall_samples,
    trustworthiness,
)

X, y = load_digits(return_X_y=True)
X, X_test, y, y_test = train_test_split(X, y, random_state=0)

maps = {
    "PCA": PCA(2),
    "the bound alone": VAETransformer(2, objective="elbo", random_state=0),
    "default": VAETransformer(2, random_state=0),
}
for name, method in maps.items():
    print(f"Fitting a map by {name} to {len(X)} images")
    method.fit(X)

# %%
# Test images, colored by label
# -----------------------------

figure, axes = plt.subplots(1, 3, figsize=(13, 4.2), layout="constrained")
for ax, (name, method) in zip(axes, maps.items(), strict=True):
    LatentDisplay(method.transform(X_test), y=y_test).plot(ax=ax)
    ax.set_title(name)

# %%
# Neighbors of test images are sought among the training images, by pixels and in the
# map.

print(f"{'':16}accuracy  neighbors kept  trustworthiness")
for name, method in maps.items():
    Z, Z_test = method.transform(X), method.transform(X_test)
    accuracy = neighbor_accuracy(Z, y, Z_test, y_test)
    kept = neighbor_recall(X, Z, X_test, Z_test)
    trust = trustworthiness(X, Z, X_test, Z_test)
    print(f"{name:16}{accuracy:8.2f}{kept:16.2f}{trust:17.2f}")

# %%
# Where neighbors are kept
# ------------------------
# Each test image is colored by the fraction of its 15 nearest training images that are
# among its 15 nearest in the map. Where it is low, what looks near need not be.

vae = maps["default"]
Z_test = vae.transform(X_test)
kept = neighbor_recall_samples(X, vae.transform(X), X_test, Z_test)
display = LatentDisplay(Z_test, y=kept).plot()
display.ax_.set_title("Fraction of neighbors kept")

# %%
# A map of a VAE can be decoded: between two groups lie images between two digits.

middle = (Z_test[y_test == 3].mean(axis=0) + Z_test[y_test == 8].mean(axis=0)) / 2
plt.figure(figsize=(2, 2))
plt.imshow(vae.inverse_transform(middle[None]).reshape(8, 8), cmap="gray_r")
plt.axis("off")
