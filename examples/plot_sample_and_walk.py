"""
=====================================================
What lies between two digits, and what is drawn anew?
=====================================================

A variational autoencoder is a model of how the data came about: draw a latent point
from a normal distribution, decode it, add noise. So a fitted one can draw images that
nobody wrote, and show a path from one written image to another.
"""

# %%
# A model of digits
# -----------------
# Ten latent components leave room for more than the two of a map. Nothing else is
# set: the pixels go in as they are, from 0 to 16.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from skvae import ReconstructionDisplay, VAETransformer

X, y = load_digits(return_X_y=True)
vae = VAETransformer(n_components=10, random_state=0).fit(X)


def show(rows):
    """Draw named arrays of images, each as one row of a figure."""
    size = (9, 0.9 * len(rows))
    _, axes = plt.subplots(len(rows), figsize=size, layout="constrained")
    for ax, (label, images) in zip(axes, rows.items(), strict=True):
        strip = np.hstack(images.reshape(-1, 8, 8))
        ax.imshow(strip, cmap="gray", vmin=0, vmax=16)
        ax.set(xticks=[], yticks=[])
        ax.set_ylabel(label, rotation=0, ha="right", va="center")


# %%
# What the model keeps of an image
# --------------------------------
# Ten numbers hold the shape of a digit, but not every stroke.

ReconstructionDisplay.from_estimator(vae, X, image_shape=(8, 8))
plt.show()

# %%
# New samples
# -----------
# A draw from the model has noise on every pixel, as its Gaussian likelihood says that
# data have. ``kind="mean"`` stops before the noise, at what the decoder expects. The
# same ``random_state`` gives both the same latent points.

means = vae.sample(12, random_state=0, kind="mean")
draws = vae.sample(12, random_state=0, kind="draw")
show({"mean": means, "draw": draws})
plt.show()

# %%
# A walk between two digits
# -------------------------
# The posterior means of two images are two points of the latent space. Decoded, the
# straight line between them is a stroke that opens into a ring, with an image of its
# own at every step. Averaging the pixels only fades one digit out and the other in.

start, end = X[y == 1][0], X[y == 0][0]
steps = np.linspace(0, 1, 12)[:, None]
z_start, z_end = vae.transform([start, end])
walk = vae.inverse_transform((1 - steps) * z_start + steps * z_end)
fade = (1 - steps) * start + steps * end
show({"latent walk": walk, "pixel fade": fade})
plt.show()
