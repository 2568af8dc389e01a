"""Make the picture of the README: `python docs/images/digits.py`."""

from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skvae import LatentDisplay, ManifoldDisplay, VAETransformer


def main():
    X, y = load_digits(return_X_y=True)
    X_train, X_test, _, y_test = train_test_split(X / 16, y, random_state=0)
    vae = VAETransformer(n_components=2, likelihood="bernoulli", random_state=0)
    vae.fit(X_train)
    figure, axes = plt.subplots(1, 2, figsize=(11, 5), layout="constrained")
    LatentDisplay.from_estimator(vae, X_test, y_test, ax=axes[0])
    ManifoldDisplay.from_estimator(vae, image_shape=(8, 8), ax=axes[1])
    axes[0].set_title("450 test digits in latent space")
    axes[1].set_title("The latent space, decoded")
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=100)


if __name__ == "__main__":
    main()
