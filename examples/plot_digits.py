"""
==========================================
Map handwritten digits, and decode the map
==========================================

The textbook's variational autoencoder has one hidden layer, two latent components and
one Bernoulli variable per pixel. This example fits it as a scikit-learn transformer and
draws two pictures: the positions of test images in latent space, and the images that
the decoder gives for a grid of positions.

The images are the 8 x 8 digits that come with scikit-learn. To train on MNIST instead,
which takes some minutes, run ``python plot_digits.py --mnist``. It reads ``mnist.npz``
in the folder that the environment variable ``SKVAE_DATA`` names; without that file it
downloads the images from OpenML.
"""

# %%
# The images
# ----------
# Pixels are scaled to [0, 1], the domain of the Bernoulli likelihood.

import os
import sys
import time
from pathlib import Path

import numpy as np
from sklearn.datasets import fetch_openml, load_digits
from sklearn.model_selection import train_test_split

from skvae import LatentDisplay, ManifoldDisplay, VAETransformer
from skvae.schedules import Constant


def load_mnist():
    """Return MNIST as rows in [0, 1]: training and test images, then labels."""
    path = Path(os.environ.get("SKVAE_DATA", "")) / "mnist.npz"
    if "SKVAE_DATA" in os.environ and path.exists():
        with np.load(path) as file:
            arrays = [file[name] for name in ("x_train", "x_test", "y_train", "y_test")]
    else:
        X, y = fetch_openml("mnist_784", return_X_y=True, as_frame=False)
        y = y.astype(int)
        arrays = [X[:60_000], X[60_000:], y[:60_000], y[60_000:]]
    images = [array.reshape(len(array), -1) / 255 for array in arrays[:2]]
    return *images, *arrays[2:]


if "--mnist" in sys.argv[1:]:
    name, image_shape, n_epochs, n_cells = "MNIST", (28, 28), 50, 15
    X_train, X_test, y_train, y_test = load_mnist()
else:
    name, image_shape, n_epochs, n_cells = "scikit-learn's digits", (8, 8), 200, 10
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
print(f"{name}: {len(X_train)} images to train on, {len(X_test)} to test")

# %%
# The model
# ---------
# These settings are the textbook's: random initial parameters, RMSprop with a constant
# learning rate, batches of 100, the evidence lower bound as the objective, and no early
# stopping. With the defaults, the transformer starts at PCA, keeps neighbors together
# (:ref:`sphx_glr_auto_examples_plot_maps.py`) and uses held-out images to decide when
# to stop. Fifty epochs of MNIST are 30,000 steps; with fewer images more epochs are
# needed.

vae = VAETransformer(
    n_components=2,
    likelihood="bernoulli",
    objective="elbo",
    init="random",
    hidden_layer_sizes=(256,),
    activation="relu",
    solver="rmsprop",
    learning_rate=Constant(0.001),
    batch_size=100,
    max_iter=n_epochs,
    early_stopping=False,
    random_state=0,
)
print(f"Fitting {n_epochs} epochs; verbose=True would print each", flush=True)
began = time.perf_counter()
vae.fit(X_train)
print(f"Fitted in {time.perf_counter() - began:.1f} s")
elbo = vae.score_samples(X_test, bound="elbo")
print(f"ELBO of the test images: {elbo.mean():.2f} nats each")

# %%
# Positions of images
# -------------------
# The encoder never sees a label. The display colors the images by their labels.

latent = LatentDisplay.from_estimator(vae, X_test, y_test)
latent.ax_.set_title("Test images in latent space")

# %%
# Images of positions
# -------------------
# Each cell stands for the same fraction of the prior, so the grid shows the images that
# the model generates in proportion to how often it generates them. Neighbors look alike
# because the decoder is continuous: one digit changes gradually into the next.

manifold = ManifoldDisplay.from_estimator(
    vae,
    n_cells=n_cells,
    image_shape=image_shape,
    cmap="gray_r",
    interpolation="bilinear",
)
manifold.ax_.set_title("Decoded latent space")

# %%
# If run as a script, this example saves its figures.

if "sphinx_gallery" not in sys.modules:
    folder = Path("figures")
    folder.mkdir(exist_ok=True)
    for display, stem in ((latent, "digits_latent"), (manifold, "digits_manifold")):
        path = folder / f"{stem}.png"
        display.figure_.savefig(path, dpi=150)
        print(f"Saved {path}")
