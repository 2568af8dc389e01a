"""Images: densities of a paper by its protocol, and clusters of digits.

Pixels of MNIST are drawn anew at each step, as Burda, Grosse & Salakhutdinov (2016)
have them. Clusters are found without labels.
"""

import time

import claims
import data
import numpy as np
import pandas as pd
from harness import Method, scalars
from pages import number, table
from scipy.optimize import linear_sum_assignment

DRAWN, GROUPS = "drawn at each step", "10 groups"
CASES = [("mnist", DRAWN), ("mnist", GROUPS)]
N_SEEDS, N_THREADS = 1, 1
N_TEST, N_DRAWS, N_EPOCHS = 1000, 5000, 20
LEARNING_RATE = 0.003
"""The largest, between 0.002 and 0.005, which were tried for three epochs."""

ONE, FIVE, FIFTY = "1 draw", "5 draws", "50 draws"
CLUSTERED = "mixture, neighbors"
DRAWS = {ONE: 1, FIVE: 5, FIFTY: 50}


def named(name):
    """Return the name of a method that runs for a given number of epochs."""
    return f"{name}, {N_EPOCHS} epochs"


def _density(n_draws):
    settings = {"n_draws": n_draws, "max_iter": N_EPOCHS}
    return Method("images:density", settings, splits=(DRAWN,))


METHODS = {
    **{named(name): _density(n_draws) for name, n_draws in DRAWS.items()},
    CLUSTERED: Method("images:clusters", splits=(GROUPS,)),
}


def problem(case, max_rows):
    """Return intensities; of test images, the first as zeros and ones for densities."""
    train, test = data.images(case.data)
    known = {"X": train[:max_rows], "X_test": test, "seed": case.seed}
    if case.split == GROUPS:
        return known | {"y_test": data.arrays(case.data)["y_test"]}
    random = np.random.default_rng(case.seed)
    drawn = random.random(test[:N_TEST].shape) < test[:N_TEST]
    return known | {"X_test": drawn.astype(np.float32)}


def density(problem):
    """Fit a model for a given number of epochs, and score test rows."""
    from skvae import VAETransformer
    from skvae.likelihoods import Bernoulli
    from skvae.objectives import IWAE

    model = VAETransformer(
        50,
        likelihood=Bernoulli(draw_cells=True),
        sampler="prior",
        objective="elbo" if problem.n_draws == 1 else IWAE(problem.n_draws),
        beta=1.0,
        hidden_layer_sizes=(200, 200),
        batch_size=100,
        max_iter=problem.max_iter,
        learning_rate=LEARNING_RATE,
        tol=None,
        early_stopping=False,
        random_state=problem.seed,
    )
    model, seconds = _timed_fit(model, problem.X)
    nll = -model.score_samples(problem.X_test, n_draws=N_DRAWS).mean()
    return {"nll": nll, "fit_cpu": seconds, "n_epochs": np.array(model.n_iter_)}


def clusters(problem):
    """Find ten groups of training rows, and to which test rows belong."""
    from skvae import VAETransformer
    from skvae.likelihoods import Gaussian
    from skvae.priors import Mixture

    model = VAETransformer(
        10,
        likelihood=Gaussian(scaling="inputs"),
        prior=Mixture(10),
        sampler="prior",
        objective="neighbors",
        tol=None,
        random_state=problem.seed,
    )
    model, seconds = _timed_fit(model, problem.X)
    return {"groups": model.predict(problem.X_test), "fit_cpu": seconds}


def _timed_fit(model, X):
    """Return a fitted model, and the seconds of CPU time."""
    before = time.process_time()
    return model.fit(X), np.array(time.process_time() - before)


def accuracy(labels, groups):
    """Return the fraction of rows that are right under the best matching."""
    counts = np.zeros((labels.max() + 1, groups.max() + 1))
    np.add.at(counts, (labels, groups), 1)
    rows, columns = linear_sum_assignment(-counts)
    return float(counts[rows, columns].sum() / len(labels))


def measure(case, problem, answer):
    """Return numbers, and how well groups match digits."""
    groups, found = answer.pop("groups", None), scalars(answer)
    if groups is not None:
        found["accuracy"] = accuracy(problem["y_test"], groups)
    return found


def densities(results):
    """Return minus the log-likelihood by number of draws, and times of fits."""
    measures = {"nats": "nll", "seconds": "fit_cpu"}
    columns = {
        title: {name: results.get(measure, named(name)).mean() for name in DRAWS}
        for title, measure in measures.items()
    }
    return pd.DataFrame(columns)


def verdicts(results):
    """Return the claims by name."""
    nats = densities(results)["nats"]
    missed = 1.0 - results.get("accuracy", CLUSTERED).mean()
    gained = {
        name: claims.at_most(
            f"{name} less {fewer}, nats", nats[name] - nats[fewer], -0.5
        )
        for fewer, name in ((ONE, FIVE), (FIVE, FIFTY))
    }
    return {
        ONE: claims.at_most(f"{ONE}, nats", nats[ONE], 91.0),
        **gained,
        "must": claims.at_most("digits in another group, must", missed, 0.2),
        "aim": claims.at_most("digits in another group, aim", missed, 0.1),
    }


def fields(results):
    """Return what fills the page."""
    return {
        "densities": table(densities(results), "bound", 2),
        "nats": number(densities(results)["nats"][ONE], 4),
        "right": number(results.get("accuracy", CLUSTERED).mean()),
        "n_epochs": N_EPOCHS,
        "learning_rate": LEARNING_RATE,
    }
