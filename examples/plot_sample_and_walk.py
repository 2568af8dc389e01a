"""
=====================================
Generate images, and walk between two
=====================================

A variational autoencoder models how rows are generated: draw a latent point from a
normal distribution, decode it, add noise. A fitted model can therefore generate new
images, and interpolate between two images.
"""

# %%
# A model of digits
# -----------------
# Ten latent components can describe an image in more detail than the two of a map. All
# other settings are the defaults, and the pixels are the raw values from 0 to 16.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from skvae import ReconstructionDisplay, VAETransformer

X, y = load_digits(return_X_y=True)
print(f"Fitting ten components to {len(X)} images", flush=True)
vae = VAETransformer(n_components=10, random_state=0).fit(X)
print(f"Stopped after {vae.n_iter_} of at most {vae.max_iter_} epochs")


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
# Reconstructions
# ---------------
# Ten numbers describe the shape of a digit, but not every stroke.

ReconstructionDisplay.from_estimator(vae, X, image_shape=(8, 8))
plt.show()

# %%
# Generated images
# ----------------
# A draw from the model has noise on every pixel, as the Gaussian likelihood assumes of
# the data. ``kind="mean"`` leaves the noise out and returns the expected pixels. With
# the same ``random_state`` both have the same latent points.

means = vae.sample(12, random_state=0, kind="mean")
draws = vae.sample(12, random_state=0, kind="draw")
show({"mean": means, "draw": draws})
plt.show()

# %%
# A walk between two digits
# -------------------------
# The posterior means of two images are two points of the latent space. Points on the
# straight line between them decode to a stroke that gradually opens into a ring, with a
# plausible image at every step. Averages of the pixels only fade one digit into the
# other.

start, end = X[y == 1][0], X[y == 0][0]
steps = np.linspace(0, 1, 12)[:, None]
z_start, z_end = vae.transform([start, end])
walk = vae.inverse_transform((1 - steps) * z_start + steps * z_end)
fade = (1 - steps) * start + steps * end
show({"latent walk": walk, "pixel fade": fade})
plt.show()
