"""Make the picture of the page on outliers: `python docs/images/explanation.py`."""

from pathlib import Path

from sklearn.datasets import load_wine

from skvae import ExplanationDisplay, VAEOutlierDetector


def main():
    X = load_wine(as_frame=True).data
    detector = VAEOutlierDetector(random_state=0).fit(X)
    odd = X.iloc[[0]].assign(ash=5.0)
    display = ExplanationDisplay.from_estimator(detector, odd)
    display.figure_.savefig(Path(__file__).with_suffix(".png"), dpi=100)


if __name__ == "__main__":
    main()
