import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skvae import AutoencoderTransformer, VAEOutlierDetector, VAETransformer
from skvae._model import Architecture
from skvae.inspection import neighbor_recall
from skvae.likelihoods import Gaussian
from skvae.networks import Perceptron
from skvae.objectives import ELBO, IWAE, AddedTerm, Neighbors, Shape
from skvae.objectives._contrast import Contrasted, contrasts, gradient_of, groups
from skvae.priors import StandardNormal
from skvae.schedules import WarmUp
from skvae.table import Batch, Batches, Rows, as_cells, canonical_rows
from skvae.training import Training, neighbors_of
from skvae.training import _neighbors as search
from skvae.training._state import FlatParameters
from skvae.training._step import AutogradStep, WrittenStep, step_for

# A few epochs on groups at equal distances leave components without information.
pytestmark = pytest.mark.filterwarnings("ignore:.* carry nothing", "ignore:Maximum it")

CPU = torch.device("cpu")
# Without held-out rows, since after a few epochs the start would be the best state.
TINY = {"hidden_layer_sizes": (16,), "early_stopping": False, "random_state": 0}


def _rows(X, weights=None):
    weights = np.ones(len(X)) if weights is None else weights
    return Rows(as_cells(X), np.arange(len(X)), weights)


def _model(rows, sees_missing=False, K=2):
    networks = (Perceptron((8,)),) * 2
    known = (True, Gaussian(), StandardNormal(), sees_missing)
    model = Architecture(rows.n_features, K, *networks, *known).build(seed=0)
    model.likelihood.fit_statistics(rows)
    return model


def _blobs(n_rows=240, n_columns=6, n_groups=6, seed=0):
    """Groups whose centers take more than two axes to tell apart."""
    rng = np.random.default_rng(seed)
    group = np.arange(n_rows) % n_groups
    centers = 4.0 * np.eye(n_groups, n_columns)
    return centers[group] + rng.normal(size=(n_rows, n_columns)), group


# The term


def _expected_terms(points, width):
    """The equation of the docstring."""
    n_pairs = len(points) // 2
    deviations = points - points.mean(axis=0)
    points = points / (width * np.sqrt(np.square(deviations).mean()))
    q = 1.0 / (1.0 + np.square(points[:, None] - points[None]).sum(-1))
    np.fill_diagonal(q, 0.0)
    log_sums = np.log(q.sum(1))
    i = np.arange(n_pairs)
    j = i + n_pairs
    return -np.log(q[i, j]) + 0.5 * (log_sums[i] + log_sums[j])


@pytest.mark.parametrize("n_pairs", [1, 2, 30])
@pytest.mark.parametrize("K", [1, 2, 9])
def test_terms_of_pairs_are_those_of_the_equation(n_pairs, K):
    points = np.random.default_rng(0).normal(size=(2 * n_pairs, K))
    (one,) = contrasts(torch.from_numpy(points), 0.3)
    np.testing.assert_allclose(one.terms, _expected_terms(points, 0.3), atol=1e-12)


def test_gradient_of_pairs_is_that_of_differences():
    points = torch.randn((14, 2), dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(Contrasted.apply, (points, 0.3))


def test_written_gradient_of_pairs_is_that_of_autograd():
    points = torch.randn((600, 3), dtype=torch.float64, requires_grad=True)
    weights = torch.rand(300, dtype=torch.float64)
    (weights @ Contrasted.apply(points, 0.3)).backward()
    written = gradient_of(contrasts(points.detach(), 0.3), weights)
    torch.testing.assert_close(written, points.grad)


def test_many_pairs_are_told_apart_in_groups_of_equal_sizes():
    points = torch.randn((1200, 2), dtype=torch.float64)
    sizes = [part.stop - part.start for part in groups(600)]
    assert sizes == [200, 200, 200]
    first = torch.cat((points[:200], points[600:800]))
    terms = Contrasted.apply(points, 0.3)
    torch.testing.assert_close(terms[:200], contrasts(first, 0.3)[0].terms)


def test_terms_do_not_change_where_all_points_are_moved_or_stretched():
    points = torch.randn((20, 2), dtype=torch.float64)
    terms = Contrasted.apply(points, 0.3)
    torch.testing.assert_close(Contrasted.apply(5.0 * points + 3.0, 0.3), terms)


def test_pairs_at_one_point_have_finite_terms_and_no_gradient():
    points = torch.ones((8, 2), requires_grad=True)
    terms = Contrasted.apply(points, 0.3)
    terms.sum().backward()
    torch.testing.assert_close(terms, torch.full((4,), np.log(7.0)).float())
    torch.testing.assert_close(points.grad, torch.zeros_like(points))


def test_pairs_far_apart_have_finite_terms_and_gradients():
    points = torch.tensor([[0.0], [1e25], [-1e30], [3e38]], requires_grad=True)
    terms = Contrasted.apply(points, 0.3)
    terms.sum().backward()
    assert torch.isfinite(terms).all()
    assert torch.isfinite(points.grad).all()


def test_term_is_zero_where_rows_come_alone():
    rows = _rows(_blobs()[0])
    batch = next(Batches.from_rows(rows, None, CPU, 10).in_order())
    noise = torch.zeros((1, len(batch), 2))
    assert not Neighbors().term(_model(rows), batch, noise).any()


# The step


@pytest.mark.parametrize("has_missing", [False, True])
@pytest.mark.parametrize("base", [ELBO(0.0), ELBO(0.4)], ids=repr)
@pytest.mark.parametrize("batch_size", [32, 1500])
def test_written_step_gives_the_gradient_of_autograd(base, has_missing, batch_size):
    X, _ = _blobs(1600)
    if has_missing:
        X[::7, 2] = np.nan
        X[5] = np.nan
    rows = _rows(X, np.linspace(0.5, 1.5, len(X)))
    model = _model(rows, sees_missing=has_missing)
    objective = Neighbors(base, weight=3.0, width=0.4)
    near = neighbors_of(model, 5, rows)[0]
    prepare = model.likelihood.prepare
    batches = Batches.from_rows(rows, prepare, CPU, batch_size, near)
    batch = next(batches.shuffled(0, 0))
    parameters = FlatParameters(model)
    noise = torch.randn((1, len(batch), 2))
    weights = (1.0, 0.7, 3.0)
    results = []
    for step in (
        AutogradStep(model, objective, parameters),
        WrittenStep(model, objective),
    ):
        with torch.inference_mode(not step.records):
            sums = step(batch, noise, weights)
        results.append((sums.clone(), parameters.gradient.clone()))
    for plain, written in zip(*results, strict=True):
        torch.testing.assert_close(written, plain, rtol=1e-4, atol=2e-3)


class Other(Neighbors):
    """Another term with the same rows."""

    def term(self, model, batch, noise):
        return 2.0 * super().term(model, batch, noise)


class Size(AddedTerm):
    """Mean squares of posterior means."""

    name = "size"

    def term(self, model, batch, noise):
        return model.posterior_mean(batch).square().sum(-1)


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        (Neighbors(weight=1.0), WrittenStep),
        (Neighbors(IWAE(3), weight=1.0), AutogradStep),
        (Other(weight=1.0), AutogradStep),
        (Neighbors(Size(), weight=1.0), AutogradStep),
        (Size(Neighbors(weight=1.0)), AutogradStep),
    ],
    ids=repr,
)
def test_step_is_written_out_where_the_terms_are_known(objective, expected):
    model = _model(_rows(_blobs()[0]))
    assert type(step_for(model, objective, FlatParameters(model))) is expected


def test_a_term_beside_it_leaves_what_neighbors_declare():
    objective = Size(Neighbors(n_neighbors=4, max_r2_loss=0.2))
    assert (objective.neighborhood, objective.max_r2_loss) == (4, 0.2)
    alone = Size("elbo")
    assert (alone.neighborhood, alone.max_r2_loss) == (None, np.inf)


@pytest.mark.parametrize("objective", [Size(Neighbors()), Neighbors(Size())], ids=repr)
def test_neighbors_combine_with_other_terms(objective):
    X, _ = _blobs(60)
    vae = VAETransformer(objective=objective, max_iter=3, **TINY).fit(X)
    assert set(vae.term_curves_) == {"reconstruction", "kl", "neighbors", "size"}
    assert np.all(np.array(vae.term_curves_["neighbors"]) > 0.0)


# The search


def test_neighbors_are_those_of_scikit_learn():
    rows = _rows(_blobs()[0])
    model = _model(rows)
    (near,) = neighbors_of(model, 7, rows)
    standardized = StandardScaler().fit_transform(rows[:])
    expected = NearestNeighbors(n_neighbors=7).fit(standardized)
    expected = expected.kneighbors(return_distance=False)
    np.testing.assert_array_equal(np.sort(near), np.sort(expected))


def test_neighbors_in_many_columns_are_those_on_principal_axes(monkeypatch):
    monkeypatch.setattr(search, "N_AXES", 4)
    X, _ = _blobs(n_columns=40, n_groups=4)
    rows = _rows(X)
    (near,) = neighbors_of(_model(rows), 5, rows)
    standardized = StandardScaler().fit_transform(X)
    _, _, axes = np.linalg.svd(standardized, full_matrices=False)
    points = standardized @ axes[:4].T
    expected = NearestNeighbors(n_neighbors=5).fit(points)
    expected = expected.kneighbors(return_distance=False)
    same = np.mean(np.sort(near) == np.sort(expected))
    assert same > 0.99


def test_many_rows_have_neighbors_in_their_own_part(monkeypatch):
    monkeypatch.setattr(search, "MOST_TOGETHER", 100)
    X, _ = _blobs()
    rows = _rows(X[np.random.default_rng(1).permutation(len(X))])
    (near,) = neighbors_of(_model(rows), 9, rows)
    parts = np.array_split(np.arange(len(X)), 3)
    for part in parts:
        assert np.isin(near[part], part).all()
    # A third of the rows have a third of the neighbors, which are about as near.
    assert near.shape == (240, 3)


def test_fewer_held_out_rows_have_as_many_fewer_neighbors():
    rows, few = _rows(_blobs()[0]), _rows(_blobs(24, seed=1)[0])
    near, none, held_out = neighbors_of(_model(rows), 15, rows, None, few)
    assert near.shape == (240, 15)
    assert none is None
    assert held_out.shape == (24, 2)


@pytest.mark.parametrize("n_rows", [1, 2, 5])
def test_few_rows_have_the_neighbors_that_there_are(n_rows):
    rows = _rows(_blobs()[0][:n_rows])
    (near,) = neighbors_of(_model(rows), 15, rows)
    assert near.shape == (n_rows, max(1, n_rows - 1))
    assert n_rows == 1 or not (near == np.arange(n_rows)[:, None]).any()


# Batches of rows with neighbors


def test_rows_of_a_batch_come_with_one_of_their_neighbors():
    X, _ = _blobs(50)
    near = torch.tensor([[(i + 1) % 50, (i + 2) % 50] for i in range(50)])
    batches = Batches.from_rows(_rows(X), None, CPU, 8, near)
    drawn = []
    for epoch in range(20):
        for batch in batches.shuffled(0, epoch):
            first, second = (
                torch.from_numpy(X[near[batch.index, k]]).float() for k in (0, 1)
            )
            is_first = (batch.partners == first).all(1)
            assert torch.all(is_first | (batch.partners == second).all(1))
            drawn.append(is_first)
    # The standard deviation of the mean of 1,000 draws is .016.
    assert abs(float(torch.cat(drawn).float().mean()) - 0.5) < 0.06


def test_neighbors_are_drawn_by_weight():
    X = np.arange(4.0)[:, None]
    near = torch.tensor([[1, 2], [2, 3], [3, 1], [1, 2]])
    rows = _rows(X, np.array([1.0, 0.0, 2.0, 1.0]))
    for epoch in range(30):
        for batch in Batches.from_rows(rows, None, CPU, 4, near).shuffled(0, epoch):
            assert not (batch.partners == 1.0).any()


def test_rows_in_order_have_the_same_neighbors_at_every_call():
    X, _ = _blobs(50)
    near = torch.arange(50)[:, None].roll(1, 0).repeat(1, 2)
    near[:, 1] = torch.arange(50).roll(2, 0)
    batches = Batches.from_rows(_rows(X), None, CPU, 8, near)
    first, second = (next(batches.in_order()).partners for _ in range(2))
    torch.testing.assert_close(first, second)


def test_hidden_cells_leave_neighbors_whole():
    x = torch.ones((3, 2))
    batch = Batch(x, partners=2.0 * x).hide(torch.tensor([[True, False]] * 3))
    both = batch.with_partners()
    assert torch.isnan(both.x[:3, 0]).all()
    assert (both.x[3:] == 2.0).all()
    assert both.observed[3:].all()


# The spec


def test_numbers_take_the_place_of_auto():
    resolved = Neighbors().resolved(0.4, Shape(1000, 64, 2))
    assert resolved.weight == 16.0
    assert resolved.base.mean_fraction == 0.4
    # In two dimensions a standard normal variable is within r in 1 - exp(-r^2 / 2).
    assert 1.0 - np.exp(-0.5 * resolved.width**2) == pytest.approx(0.015)
    assert Neighbors().resolved(0.4, Shape(1000, 3, 2)).weight == 1.0


def test_given_numbers_are_kept():
    weight = WarmUp(value=5.0)
    given = Neighbors(ELBO(0.1), weight=weight, width=0.3)
    resolved = given.resolved(0.4, Shape(1000, 64, 2))
    assert repr(resolved) == repr(given)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"n_neighbors": 0}, "n_neighbors of .* must be a positive integer. Got 0"),
        ({"n_neighbors": 2.5}, "n_neighbors of .* must be a positive integer"),
        ({"max_r2_loss": -1.0}, "max_r2_loss of .* must be at least 0"),
        ({"width": 0.0}, "width of .* must be 'auto' or a number above 0"),
        ({"width": "wide"}, "width of .* must be 'auto' or a number above 0"),
        ({"weight": "heavy"}, "A weight must be a number"),
        ({"base": "nothing"}, "An objective must be one of"),
        ({"base": Neighbors()}, "must have different names"),
    ],
    ids=repr,
)
def test_invalid_parameters_are_errors(params, said):
    with pytest.raises(ValueError, match=said):
        VAETransformer(objective=Neighbors(**params)).fit(_blobs(20)[0])


# Fits


@pytest.mark.parametrize(("K", "name"), [(1, "neighbors"), (3, "neighbors"), (4, None)])
def test_few_components_are_a_map_by_default(K, name):
    vae = VAETransformer(K, max_iter=1, **TINY).fit(_blobs(40)[0])
    assert vae.objective_.names[2:] == ((name,) if name else ())


@pytest.mark.parametrize(
    "params", [{"hidden_layer_sizes": ()}, {"encoder": Perceptron(())}], ids=str
)
def test_linear_models_are_no_maps_by_default(params):
    vae = VAETransformer(max_iter=1, random_state=0, **params).fit(_blobs(40)[0])
    assert vae.objective_.names == ("reconstruction", "kl")


def test_detectors_do_not_fit_maps():
    detector = VAEOutlierDetector(max_iter=2, random_state=0).fit(_blobs(60)[0])
    assert detector.estimator_.objective_.names == ("reconstruction", "kl")


def test_maps_keep_more_neighbors_than_without_the_term():
    X, _ = _blobs(400, n_columns=10, n_groups=10)
    recalls = {}
    for objective in ("neighbors", "elbo"):
        settings = {"max_iter": 60, "early_stopping": False, "random_state": 0}
        vae = VAETransformer(objective=objective, **settings)
        Z = vae.fit_transform(X[:300])
        recalls[objective] = neighbor_recall(
            X[:300], Z, X[300:], vae.transform(X[300:])
        )
    assert recalls["neighbors"] > 1.1 * recalls["elbo"]


def test_weights_equal_repeated_rows():
    X, _ = _blobs(60)
    weights = np.arange(60) % 3
    settings = {"max_iter": 4, **TINY}
    weighted = VAETransformer(**settings).fit(X, sample_weight=weights)
    repeated = VAETransformer(**settings).fit(np.repeat(X, weights, axis=0))
    np.testing.assert_array_equal(weighted.transform(X), repeated.transform(X))


def test_order_of_rows_does_not_matter():
    X, _ = _blobs(60)
    settings = {"max_iter": 4, **TINY}
    maps = [VAETransformer(**settings).fit(Y).transform(X) for Y in (X, X[::-1])]
    np.testing.assert_array_equal(*maps)


def test_a_continued_fit_equals_the_uninterrupted_one():
    X, _ = _blobs(80)
    settings = {"tol": None, "warm_start": True, **TINY}

    whole = VAETransformer(max_iter=6, **settings).fit(X)
    begun = VAETransformer(max_iter=6, **settings)
    interrupts = iter([False, False, True])
    with pytest.MonkeyPatch.context() as patch:
        record = Training._record

        def stopping(self, *args):
            record(self, *args)
            if next(interrupts):
                raise KeyboardInterrupt

        patch.setattr(Training, "_record", stopping)
        with pytest.warns(UserWarning, match="interrupted"):
            begun.fit(X)
    assert begun.n_iter_ < 6
    begun.fit(X)
    np.testing.assert_array_equal(begun.transform(X), whole.transform(X))


def test_start_at_pca_is_a_candidate_and_says_so_where_it_stays():
    X, _ = _blobs(100)
    spec = Neighbors(max_r2_loss=0.0, weight=0.0)
    settings = {**TINY, "early_stopping": True, "max_iter": 1, "learning_rate": 1e-9}
    vae = VAETransformer(objective=spec, **settings)
    with pytest.warns(ConvergenceWarning, match="stays at PCA"):
        vae.fit(X)
    linear = VAETransformer(objective="elbo", **settings).fit(X)
    np.testing.assert_allclose(vae.transform(X), linear.transform(X), atol=1e-6)


def test_maps_of_incomplete_rows_have_the_time_to_unfold():
    X, _ = _blobs(200, n_columns=8)
    X[np.random.default_rng(0).random(X.shape) < 0.2] = np.nan
    vae = VAETransformer(n_iter_no_change=3, max_iter=80, random_state=0).fit(X)
    assert np.argmin(vae.validation_curve_) > 3


@pytest.mark.parametrize("init", ["pca", "random"])
def test_linear_models_can_be_maps(init):
    X, _ = _blobs(60)
    settings = {"objective": "neighbors", "hidden_layer_sizes": (), "init": init}
    vae = VAETransformer(max_iter=5, random_state=0, **settings)
    assert np.ptp(vae.fit_transform(X), axis=0).min() > 0.1


@pytest.mark.parametrize("K", [1, 2, 8])
def test_any_number_of_components_keeps_neighbors(K):
    X, _ = _blobs(80)
    vae = VAETransformer(K, objective="neighbors", max_iter=3, **TINY)
    assert vae.fit_transform(X).shape == (80, K)
    assert np.isfinite(vae.score(X))


# Inputs on which other packages for maps fail


def _duplicates(X):
    return np.repeat(X[:4], 30, axis=0)


def _constant(X):
    return np.full_like(X, 3.0)


def _constant_columns(X):
    return np.column_stack((X, np.ones(len(X)), np.zeros(len(X))))


def _missing(X):
    X = X.copy()
    X[::3, 1] = np.nan
    X[7] = np.nan
    return X


def _frame(X):
    text = np.array(["a", "b", "c"])[np.arange(len(X)) % 3]
    return pd.DataFrame(X, columns=[*"uvwxyz"]).assign(
        text=text, flag=np.arange(len(X)) % 2 == 0
    )


INPUTS = {
    "one row": lambda X: X[:1],
    "two rows": lambda X: X[:2],
    "five rows": lambda X: X[:5],
    "duplicates": _duplicates,
    "constant": _constant,
    "constant columns": _constant_columns,
    "missing": _missing,
    "one column": lambda X: X[:, :1],
    "one group": lambda X: X[::6],
    "sparse": lambda X: scipy.sparse.csr_matrix(X * (X > 1.0)),
    "float32": lambda X: X.astype(np.float32),
    "outlier": lambda X: np.vstack((X, np.full((1, X.shape[1]), 1e12))),
    "wide": lambda X: np.tile(X[:20], (1, 60)),
    "mixed": _frame,
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:.*components? carr")
@pytest.mark.parametrize("name", INPUTS)
def test_every_table_has_a_map(name):
    table = INPUTS[name](_blobs(60)[0])
    vae = VAETransformer(max_iter=5, **TINY)
    Z = vae.fit_transform(table)
    assert Z.shape == (table.shape[0], 2)
    assert np.isfinite(Z).all()
    assert np.isfinite(vae.score_samples(table)).all()
    assert vae.inverse_transform(Z).shape == table.shape


def test_equal_rows_are_at_one_point():
    X = _duplicates(_blobs()[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Z = VAETransformer(max_iter=5, **TINY).fit_transform(X)
    np.testing.assert_array_equal(Z[:30], np.repeat(Z[:1], 30, axis=0))


def test_counts_have_a_map():
    X = np.random.default_rng(0).poisson(3.0, size=(60, 5))
    vae = VAETransformer(likelihood="poisson", max_iter=3, **TINY).fit(X)
    assert vae.objective_.names[2] == "neighbors"


def test_a_pipeline_of_a_map_can_be_cloned():
    vae = VAETransformer(objective=Neighbors(n_neighbors=5), max_iter=2, **TINY)
    pipeline = make_pipeline(StandardScaler(), clone(vae))
    assert pipeline.fit_transform(_blobs(30)[0]).shape == (30, 2)


def test_a_plain_autoencoder_has_no_neighbors():
    ae = AutoencoderTransformer(max_iter=2, **TINY).fit(_blobs(30)[0])
    assert set(ae.term_curves_) == {"reconstruction"}


def test_canonical_rows_are_the_rows_that_have_neighbors():
    """Equal rows are one row: none is its own neighbor's double."""
    X = np.repeat(_blobs(30)[0], 3, axis=0)
    rows = canonical_rows(as_cells(X), np.ones(len(X)))
    (near,) = neighbors_of(_model(rows), 4, rows)
    assert len(rows) == 30
    assert not (near == torch.arange(30)[:, None]).any()
