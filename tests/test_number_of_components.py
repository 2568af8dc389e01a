"""`n_components="auto"`: rows and densities rather than maps."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.datasets import load_iris, load_wine

from skvae import VAEImputer, VAEOutlierDetector, VAETransformer
from skvae.likelihoods import Categorical, Columns, Gaussian, NormalScores
from skvae.objectives import ELBO

X = load_iris().data
OWN_NOISE = Gaussian(noise="column")


def auto(**params):
    defaults = {"max_iter": 3, "tol": None, "random_state": 0}
    return VAETransformer("auto", **(defaults | params))


def factors(n_components, n_columns, n_rows=500, noise=0.3):
    """Return rows of a linear model with so many components."""
    random = np.random.default_rng(0)
    loadings = random.normal(size=(n_components, n_columns))
    loadings /= np.linalg.norm(loadings, axis=0)
    rows = random.normal(size=(n_rows, n_components)) @ loadings
    return rows + noise * random.normal(size=rows.shape)


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_number_is_about_that_of_the_factors(n_components):
    vae = auto(likelihood=OWN_NOISE).fit(factors(n_components, 12))
    assert n_components <= vae.n_components_ <= 3 * n_components


def test_number_is_less_than_that_of_the_columns():
    assert auto().fit(X).n_components_ < 4
    assert auto().fit(X[:, :1]).n_components_ == 1
    constant = np.column_stack((X[:, :2], np.ones(150)))
    assert auto().fit(constant).n_components_ == 1


def test_number_is_at_least_half_that_of_the_columns_where_cells_are_missing():
    rows = factors(1, 12)
    rows[::3, 2] = np.nan
    vae = auto().fit(rows)
    assert vae.n_components_ >= 6
    assert repr(vae.objective_) == "IWAE(n_draws=8)"


def test_number_is_at_most_32():
    rows = factors(40, 50, noise=0.01)
    assert auto(likelihood=OWN_NOISE).fit(rows).n_components_ == 32


def test_classic_networks_get_as_many_as_may_be():
    assert auto(init="random").fit(load_wine().data).n_components_ == 12


def test_other_settings_are_for_density():
    frame = pd.DataFrame(X).assign(kind=load_iris().target.astype(str))
    vae = auto().fit(frame.set_axis([*"abcde"], axis=1))
    assert isinstance(vae.objective_, ELBO)
    assert vae.objective_.mean_fraction == 0.0
    assert repr(vae.beta_) == "Constant()"
    assert isinstance(vae.likelihood_, Columns)
    kinds = {type(spec) for spec, _ in vae.likelihood_.parts}
    assert kinds == {NormalScores, Categorical}


def test_numbers_are_normal_only_where_nothing_is_rounded_and_that_is_better():
    random = np.random.default_rng(0)
    uniform = random.random(size=(500, 3)) ** 2
    # Ranks of sums are not the sums of ranks.
    sums = np.column_stack((uniform, uniform.sum(axis=1) + random.normal(0, 0.01, 500)))
    assert "Gaussian" in repr(auto().fit(sums).likelihood_)
    assert "NormalScores" in repr(auto().fit(sums.round(3)).likelihood_)
    products = np.exp(2.0 * random.normal(size=(500, 3)) @ random.normal(size=(3, 3)))
    assert "NormalScores" in repr(auto().fit(products).likelihood_)


def test_settings_that_are_given_are_kept():
    vae = auto(likelihood="student_t", beta=2.0, objective="iwae").fit(X)
    assert "StudentT" in repr(vae.likelihood_)
    assert "IWAE" in repr(vae.objective_)


def test_number_is_chosen_anew_but_by_a_warm_start():
    vae = auto(warm_start=True, likelihood=OWN_NOISE).fit(factors(3, 12))
    before = vae.n_components_
    assert vae.fit(factors(1, 12)).n_components_ == before > 2
    assert vae.set_params(warm_start=False).fit(factors(1, 12)).n_components_ <= 2
    assert clone(vae).n_components == "auto"


def test_idle_components_are_no_mistake_of_the_user(recwarn):
    noise = np.random.default_rng(0).normal(size=(300, 4))
    vae = auto().fit(noise)
    assert vae.n_active_components_ < vae.n_components_ or vae.n_components_ == 1
    assert not [w for w in recwarn if "carry nothing" in str(w.message)]


def test_imputer_takes_a_model_with_its_own_number():
    holed = np.where(np.random.default_rng(0).random(X.shape) < 0.2, np.nan, X)
    imputer = VAEImputer(estimator=auto()).fit(holed)
    assert imputer.estimator_.n_components == "auto"
    assert_array_equal(np.isnan(imputer.transform(holed)), False)
    assert VAEImputer().fit(holed).estimator_.n_components_ == 2


def test_detector_refuses_a_number_that_it_does_not_choose():
    with pytest.raises(ValueError, match="'n_components' parameter"):
        VAEOutlierDetector(n_components="auto").fit(X)
