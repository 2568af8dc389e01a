"""Every pair of priors, objectives, likelihoods and networks trains, or is refused."""

from itertools import combinations, product

import numpy as np
import pytest
import torch

from skvae import VAETransformer
from skvae.likelihoods import LIKELIHOODS
from skvae.networks import ConvolutionalEncoder, Perceptron, ResidualPerceptron
from skvae.objectives import (
    ELBO,
    IWAE,
    MMD,
    RAE,
    Denoising,
    FreeBits,
    Neighbors,
    NestedDropout,
    TotalCorrelation,
)
from skvae.priors import (
    CategoricalLatents,
    Flow,
    Mixture,
    NoPrior,
    StandardNormal,
    VampPrior,
)


def layers(n_in, n_out):
    """Return a network as a user may write one."""
    return torch.nn.Sequential(
        torch.nn.Linear(n_in, 8), torch.nn.Tanh(), torch.nn.Linear(8, n_out)
    )


KINDS = {
    "prior": [
        StandardNormal(),
        Mixture(2),
        VampPrior(5),
        Flow(1, 8),
        CategoricalLatents(2),
        NoPrior(),
    ],
    "objective": [
        ELBO(),
        IWAE(2),
        IWAE(2, gradient="doubly_reparameterized"),
        Neighbors(n_neighbors=3, weight=1.0),
        FreeBits(),
        FreeBits(per="row"),
        MMD(),
        TotalCorrelation(),
        NestedDropout(),
        Denoising(),
        RAE(),
    ],
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
    """Return 120 rows of six columns that a likelihood takes."""
    random = np.random.default_rng(0)
    z = random.normal(size=(120, 1))
    if likelihood in ("gaussian", "student_t", "normal_scores"):
        return z + 0.3 * random.normal(size=(120, 6))
    if likelihood == "log_normal":
        return np.exp(z + 0.3 * random.normal(size=(120, 6)))
    if likelihood == "continuous_bernoulli":
        return 1 / (1 + np.exp(-2.0 * z - 0.5 * random.normal(size=(120, 6))))
    if likelihood in ("bernoulli", "categorical", "ordinal"):
        return (z + 0.2 * random.normal(size=(120, 6)) > 0.0).astype(float)
    return random.poisson(np.exp(1.0 + z), size=(120, 6)).astype(float)


def fitted(params):
    """Return a fit of few steps from a random start."""
    X = rows_for(params["likelihood"])
    vae = VAETransformer(
        3, **params, init="random", learning_rate=0.02, max_iter=5, random_state=0
    )
    return vae.set_params(tol=None, batch_size=16).fit(X), X


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
    first, *others = vae.validation_curve_
    assert np.isfinite(vae.validation_curve_).all()
    assert min(others) < first
    assert np.isfinite(vae.transform(X)).all()
    assert np.isfinite(vae.sample(3, random_state=0)).all()


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
