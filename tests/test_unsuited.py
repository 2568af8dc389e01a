"""A fit that is used for another job than its settings suit says so, once."""

import pickle
import warnings

import pytest
from sklearn.base import clone
from sklearn.datasets import load_wine

import skvae
from skvae import UnsuitedSettingsWarning, VAETransformer

X = load_wine().data


def fitted(n_components=2, X=X, **options):
    options = {"max_iter": 1, "tol": None, "random_state": 0} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return VAETransformer(n_components, **options).fit(X)


@pytest.fixture
def silent():
    """Make the warning an error again, which the settings of the tests ignore."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnsuitedSettingsWarning)
        yield


@pytest.mark.usefixtures("silent")
def test_rows_of_a_map_of_many_columns_are_warned_of_once():
    vae = fitted()
    with pytest.warns(UnsuitedSettingsWarning, match="2 components of 13 columns"):
        vae.sample(2)
    assert len(vae.sample(2)) == 2
    with pytest.warns(UnsuitedSettingsWarning, match='n_components="auto"'):
        clone(vae).fit(X).sample(2)


@pytest.mark.usefixtures("silent")
@pytest.mark.parametrize(
    "options",
    [{"n_components": 4}, {"objective": "elbo"}, {"X": X[:, :9]}],
    ids=["more components", "no map is asked for", "few columns"],
)
def test_other_fits_draw_rows_without_a_warning(options):
    assert len(fitted(**options).sample(2)) == 2


@pytest.mark.usefixtures("silent")
def test_means_at_draws_of_z_are_no_rows_and_need_no_warning():
    assert len(fitted().sample(2, kind="mean")) == 2


def test_warning_names_the_line_that_draws(tmp_path):
    vae = fitted()
    with pytest.warns(UnsuitedSettingsWarning) as caught:
        vae.sample(2)
    assert caught[0].filename == __file__
    # What has been said is left out of files, and does not change them.
    vae.save(tmp_path / "map.skvae")
    loaded = skvae.load(tmp_path / "map.skvae")
    assert not hasattr(loaded, "_is_told_of_map")
    assert pickle.loads(pickle.dumps(vae)).n_components_ == 2
