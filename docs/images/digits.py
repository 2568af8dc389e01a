"""Make the picture of the README: `python docs/images/digits.py`."""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from scipy.special import ndtri
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skvae import LatentDisplay, ManifoldDisplay, VAETransformer

N_CELLS = 10


def decoded_grid(vae):
    """Return the display of decoded digits, each with a margin of a pixel."""
    z = ndtri((np.arange(N_CELLS) + 0.5) / N_CELLS)
    grid = np.stack(np.meshgrid(z, z), axis=-1).reshape(-1, 2)
    digits = vae.inverse_transform(grid).reshape(N_CELLS, N_CELLS, 8, 8)
    framed = np.pad(digits, ((0, 0), (0, 0), (1, 1), (1, 1)))
    cells = framed.reshape(N_CELLS, N_CELLS, 100)
    return ManifoldDisplay(cells, z, z, image_shape=(10, 10))


def main():
    X, y = load_digits(return_X_y=True)
    X_train, X_test, _, y_test = train_test_split(X / 16, y, random_state=0)
    vae = VAETransformer(n_components=2, likelihood="bernoulli", random_state=0)
    vae.fit(X_train)
    figure, axes = plt.subplots(1, 2, figsize=(12, 5.6), layout="constrained")
    LatentDisplay.from_estimator(vae, X_test, y_test, ax=axes[0])
    style = {"cmap": "gray_r", "interpolation": "bicubic"}
    decoded_grid(vae).plot(axes[1], **style)
    axes[0].set_title("450 test digits in latent space")
    axes[1].set_title("The latent space, decoded")
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=100)


if __name__ == "__main__":
    main()
