"""Make the picture of "How many components?": `python docs/images/components.py`."""

from pathlib import Path

from sklearn.datasets import load_wine

from skvae import ComponentsDisplay, VAETransformer


def main():
    X = load_wine(as_frame=True).data
    options = {"hidden_layer_sizes": 32, "max_iter": 30, "sampler": "prior"}
    vae = VAETransformer(n_components=13, **options, random_state=0).fit(X)
    numbers = [1, 2, 3, 5, 8, 13]
    display = ComponentsDisplay.from_estimator(vae, X, n_components=numbers)
    display.figure_.savefig(Path(__file__).with_suffix(".png"), dpi=100)


if __name__ == "__main__":
    main()
