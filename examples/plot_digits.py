"""
==========================================================
How does a two-dimensional VAE arrange handwritten digits?
==========================================================

The first variational autoencoder most people meet has one hidden layer, two latent
components and one Bernoulli variable per pixel. Here it is as a scikit-learn
transformer, with two pictures: where the encoder puts images that it has not seen,
and what the decoder makes of each place.

The images are the 8 x 8 digits that come with scikit-learn. To train on MNIST
instead, which takes some minutes, run ``python plot_digits.py --mnist``: it reads
``mnist.npz`` in the folder that the environment variable ``SKVAE_DATA`` names, or
else downloads the images from OpenML.
"""

# %%
# The images
# ----------
# Pixels are scaled to [0, 1], which is what a Bernoulli likelihood accepts.

import os
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_openml, load_digits
from sklearn.model_selection import train_test_split

from skvae import LatentDisplay, ManifoldDisplay, VAETransformer


def load_mnist():
    """Return MNIST as rows in [0, 1]: training and test images, then labels."""
    path = Path(os.environ.get("SKVAE_DATA", "")) / "mnist.npz"
    if "SKVAE_DATA" in os.environ and path.exists():
        with np.load(path) as file:
            parts = [file[name] for name in ("x_train", "x_test", "y_train", "y_test")]
    else:
        X, y = fetch_openml("mnist_784", return_X_y=True, as_frame=False)
        parts = [X[:60_000], X[60_000:], y[:60_000].astype(int), y[60_000:].astype(int)]
    images = [part.reshape(len(part), -1) / 255 for part in parts[:2]]
    return *images, *parts[2:]


if "--mnist" in sys.argv[1:]:
    name, image_shape, n_epochs = "MNIST", (28, 28), 50
    X_train, X_test, y_train, y_test = load_mnist()
else:
    name, image_shape, n_epochs = "scikit-learn's digits", (8, 8), 300
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
print(f"{name}: {len(X_train)} images to train on, {len(X_test)} to test")

# %%
# The model
# ---------
# These settings repeat the classic one: weights start at random, RMSprop takes steps
# of constant size over batches of 100, and the last state is the result. Leave them
# out, and the transformer starts from PCA and decides by held-out images when to stop.
# Fifty epochs of MNIST are 30,000 steps; few images need more epochs.

vae = VAETransformer(
    n_components=2,
    likelihood="bernoulli",
    init="random",
    hidden_layer_sizes=(256,),
    activation="relu",
    solver="rmsprop",
    learning_rate="constant",
    learning_rate_init=0.001,
    batch_size=100,
    max_iter=n_epochs,
    early_stopping=False,
    random_state=0,
)
vae.fit(X_train)
elbo = vae.score_samples(X_test, bound="elbo")
print(f"ELBO of the test images: {elbo.mean():.2f} nats each")

# %%
# Where images go
# ---------------
# The encoder never sees a label; the colors are added afterwards.

latent = LatentDisplay.from_estimator(vae, X_test, y_test)
latent.ax_.set_title("Test images in latent space")

# %%
# What places mean
# ----------------
# Each cell stands for the same share of the prior, so the picture shows what the
# model draws as often as it draws it. Neighbors look alike, since the decoder is
# continuous: one digit turns into the next.

manifold = ManifoldDisplay.from_estimator(vae, n_cells=15, image_shape=image_shape)
manifold.ax_.set_title("Decoded latent space")

# %%
# Run as a script, this example saves its figures.

if "sphinx_gallery" not in sys.modules:
    folder = Path("figures")
    folder.mkdir(exist_ok=True)
    for display, stem in ((latent, "digits_latent"), (manifold, "digits_manifold")):
        path = folder / f"{stem}.png"
        display.figure_.savefig(path, dpi=150)
        print(f"Saved {path}")
