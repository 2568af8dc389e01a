"""Every pair of priors, objectives, likelihoods and networks trains, or is refused."""

import copy
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
import torch
from specs import OBJECTIVES, PRIORS

from skvae import VAETransformer
from skvae.likelihoods import LIKELIHOODS
from skvae.networks import ConvolutionalEncoder, Perceptron, ResidualPerceptron
from skvae.objectives import RAE, FreeBits, TotalCorrelation
from skvae.priors import CategoricalLatents, Flow, Mixture, NoPrior, VampPrior
from skvae.schedules import Progress, as_weight
from skvae.table import Batch, as_cells


def layers(n_in, n_out):
    """Return a network as a user may write one."""
    return torch.nn.Sequential(
        torch.nn.Linear(n_in, 8), torch.nn.Tanh(), torch.nn.Linear(8, n_out)
    )


KINDS = {
    "prior": PRIORS,
    "objective": OBJECTIVES,
    "likelihood": sorted(LIKELIHOODS),
    "encoder": [
        Perceptron((8,)),
        ResidualPerceptron(1, 8),
        ConvolutionalEncoder((2, 3), (2,), n_units=()),
        layers,
    ],
}
REFUSED = {
    "requires a prior with a divergence per component": [
        (FreeBits(), prior) for prior in (Mixture(2), VampPrior(5), Flow(1, 8))
    ],
    "require a posterior with independent components": [
        (TotalCorrelation(), CategoricalLatents(2)),
    ],
    "require a prior whose posterior is random": [
        (objective, NoPrior()) for objective in KINDS["objective"][:-1]
    ],
}
"""What an error says → pairs that it refuses."""


def _cases():
    """Yield settings that hold every pair, priors with the usual of other kinds."""
    priors, objectives, likelihoods, encoders = KINDS.values()
    usual = {"prior": priors[0], "objective": objectives[0], "likelihood": "gaussian"}
    usual |= {"encoder": encoders[0]}
    for prior, objective in product(priors, objectives):
        yield usual | {"prior": prior, "objective": objective}
    others = [
        *({"prior": prior} for prior in priors[1:-1]),
        *({"objective": objective} for objective in objectives),
        {"prior": NoPrior(), "objective": RAE()},
    ]
    for (i, one), (j, likelihood) in product(enumerate(others), enumerate(likelihoods)):
        # Over the likelihoods, each of the others meets each network.
        encoder = encoders[(i + j) % len(encoders)]
        yield usual | one | {"likelihood": likelihood, "encoder": encoder}


CASES = list(_cases())


def rows_for(likelihood):
    """Return 80 rows of six columns that a likelihood takes."""
    random = np.random.default_rng(0)
    z = random.normal(size=(80, 1))
    if likelihood in ("gaussian", "student_t", "normal_scores"):
        return z + 0.3 * random.normal(size=(80, 6))
    if likelihood == "log_normal":
        return np.exp(z + 0.3 * random.normal(size=(80, 6)))
    if likelihood == "continuous_bernoulli":
        return 1 / (1 + np.exp(-2.0 * z - 0.5 * random.normal(size=(80, 6))))
    if likelihood in ("bernoulli", "categorical", "ordinal"):
        return (z + 0.7 * random.normal(size=(80, 6)) > 0.0).astype(float)
    return random.poisson(np.exp(1.0 + z), size=(80, 6)).astype(float)


def fitted(params):
    """Return a fit of two epochs, and its rows."""
    X = rows_for(params["likelihood"])
    # What has no density has no samples of its own.
    sampler = "auto" if isinstance(params["prior"], NoPrior) else "prior"
    options = {"init": "random", "max_iter": 2, "tol": None, "random_state": 0}
    return VAETransformer(3, **params, sampler=sampler, **options).fit(X), X


def losses(vae, X):
    """Return the loss of a fitted model in steps on all rows, with the same noise."""
    model, objective = copy.deepcopy(vae.module_), vae.objective_
    x = torch.from_numpy(model.likelihood.prepare(as_cells(X)[:]))
    batch = Batch.of(x.float(), False)
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(objective.n_draws, len(X), 3, generator=random)
    weights = {**objective.weights(), "kl": as_weight(vae.beta_)}
    end = Progress(1.0, 1.0)
    factors = {name: w.value(w.start(), end) for name, w in weights.items()}
    optimizer, found = torch.optim.Adam(model.parameters(), 1e-3), []
    for _ in range(20):
        terms = objective.stacked_terms(model, batch, noise).mean(1)
        pairs = zip(objective.names, terms, strict=True)
        loss = sum(factors.get(name, 1.0) * term for name, term in pairs)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


def _said_of(params):
    """Return what the error says, where a pair is refused, else None."""
    pair = repr((params["objective"], params["prior"]))
    said = [text for text, pairs in REFUSED.items() if pair in map(repr, pairs)]
    return said[0] if said else None


def _name(params):
    return " ".join(getattr(x, "__name__", repr(x)) for x in params.values())


@pytest.mark.filterwarnings("ignore:.*components carry nothing")
@pytest.mark.parametrize("params", CASES, ids=_name)
def test_pair_trains_or_is_refused_in_words(params):
    said = _said_of(params)
    if said is not None:
        with pytest.raises(ValueError, match=said):
            fitted(params)
        return
    vae, X = fitted(params)
    first, *_, last = losses(vae, X)
    assert np.isfinite(vae.loss_curve_).all()
    assert last < first
    assert np.isfinite(vae.transform(X)).all()
    assert np.isfinite(vae.sample(3, random_state=0)).all()


def test_guide_shows_which_pairs_are_refused():
    path = Path(__file__).parents[1] / "docs" / "guide" / "latent.rst"
    lines = path.read_text().partition(".. csv-table::")[2].splitlines()
    n = len(KINDS["prior"])
    shown = [line.split(", ")[-n:] for line in lines if "yes" in line]
    expected = [
        [
            "refused" if _said_of({"prior": prior, "objective": objective}) else "yes"
            for prior in KINDS["prior"]
        ]
        for objective in KINDS["objective"]
    ]
    assert shown == expected


def test_cases_hold_every_pair():
    kinds = list(KINDS)
    held = {
        (a, repr(case[a]), b, repr(case[b]))
        for case in CASES
        for a, b in combinations(kinds, 2)
    }
    for a, b in combinations(kinds, 2):
        for x, y in product(KINDS[a], KINDS[b]):
            is_alone = isinstance(x, NoPrior) and not isinstance(y, str)
            assert is_alone or (a, repr(x), b, repr(y)) in held, (x, y)
