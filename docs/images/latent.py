"""Make the picture of the page on the latent space: `python docs/images/latent.py`."""

import warnings
from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.datasets import load_digits

from skvae import VAETransformer
from skvae.objectives import MMD, FreeBits, TotalCorrelation

CONSTRAINTS = {
    "the bound": {},
    "beta = 4": {"beta": 4.0},
    "free bits, 3 nats each": {"objective": FreeBits(nats=3.0)},
    "MMD, beta = 0": {"objective": MMD(), "beta": 0.0},
    "total correlation": {"objective": TotalCorrelation(weight=20.0)},
    "mixture of 10": {"prior": "mixture"},
    "VampPrior": {"prior": "vamp"},
    "neighbors": {"objective": "neighbors"},
}


def main():
    X, y = load_digits(return_X_y=True)
    figure, axes = plt.subplots(2, 4, figsize=(12, 6.4), layout="constrained")
    for ax, (name, params) in zip(axes.flat, CONSTRAINTS.items(), strict=True):
        params = {"objective": "elbo", "beta": 1.0} | params
        params |= {"likelihood": "bernoulli", "max_iter": 80, "random_state": 0}
        vae = VAETransformer(**params)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Z = vae.fit_transform(X / 16)
        drawn = ax.scatter(*Z.T, c=y, s=3, cmap="tab10", linewidths=0)
        ax.set_title(name)
        ax.set_aspect("equal", "datalim")
    figure.legend(*drawn.legend_elements(), loc="outside right center", title="digit")
    figure.savefig(Path(__file__).with_suffix(".png"), dpi=100)


if __name__ == "__main__":
    main()
