"""Functions of a user that build networks, and what their modules must do."""

import copy
import io
import pickle
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from joblib import wrap_non_picklable_objects
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from skvae import AutoencoderTransformer, VAEImputer, VAETransformer
from skvae.networks import Perceptron, UserNetwork

pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")

TINY = {"max_iter": 3, "tol": None, "random_state": 0}
BARE = {"early_stopping": False, "objective": "elbo"}


class Dropped(nn.Module):
    """Layers with dropout, and a buffer."""

    def __init__(self, n_in, n_out, n_units=16, fraction=0.4):
        super().__init__()
        self.first, self.last = nn.Linear(n_in, n_units), nn.Linear(n_units, n_out)
        self.drop = nn.Dropout(fraction)
        self.register_buffer("scale", torch.linspace(0.5, 1.5, n_units))

    def forward(self, h):
        return self.last(self.drop(torch.tanh(self.first(h)) * self.scale))


def grouped(n_in, n_out):
    """Return layers that take rows (B, n_in) alone, and no others."""
    return nn.Sequential(
        nn.Linear(n_in, 8),
        nn.Unflatten(1, (8, 1)),
        nn.Conv1d(8, 8, 1),
        nn.GroupNorm(2, 8),
        nn.Flatten(1),
        nn.SiLU(inplace=True),
        nn.Linear(8, n_out),
    )


def lazy(n_in, n_out):
    return nn.Sequential(nn.LazyLinear(8), nn.Tanh(), nn.LazyLinear(n_out))


def attentive(n_in, n_out):
    layer = nn.TransformerEncoderLayer(4, 2, 8, batch_first=True, dropout=0.1)
    head = nn.Sequential(nn.Flatten(1), nn.Linear(4 * n_in, n_out))
    return nn.Sequential(nn.Unflatten(1, (n_in, 1)), nn.Linear(1, 4), layer, head)


class Recurrent(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.cell, self.head = nn.GRU(1, 5, batch_first=True), nn.Linear(5, n_out)

    def forward(self, h):
        return self.head(self.cell(h.unsqueeze(-1))[0][:, -1])


FUNCTIONS = [Dropped, grouped, lazy, attentive, Recurrent, partial(Dropped, n_units=7)]
each = pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: str(UserNetwork(f)))


def _fitted(X, estimator=VAETransformer, **params):
    return estimator(**(TINY | params)).fit(X)


@each
def test_function_builds_what_answers_and_survives(untouched, iris, function):
    vae = _fitted(iris, encoder=function, decoder=function, objective="elbo")
    Z, scores = vae.transform(iris), vae.score_samples(iris)
    assert Z.dtype == np.float64
    assert np.isfinite(scores).all()
    assert_allclose(vae.transform(iris[7:9]), Z[7:9], rtol=1e-10)
    assert_allclose(vae.transform(iris.astype(np.float32)), Z, atol=1e-4)
    loaded = pickle.loads(pickle.dumps(vae))
    for other in (loaded, copy.deepcopy(vae), clone(vae).fit(iris)):
        assert_array_equal(other.transform(iris), Z)
        assert_array_equal(other.score_samples(iris), scores)
        assert_array_equal(other.sample(4, 0), vae.sample(4, 0))
    more = loaded.set_params(warm_start=True).fit(iris)
    assert more.n_iter_ == 6


@each
def test_function_is_trained(iris, function):
    params = {"encoder": function, "decoder": function, **BARE}
    before = _fitted(iris, **params, learning_rate=1e-12).module_.state_dict()
    model = _fitted(iris, **params, learning_rate=0.01).module_
    moved = [
        (p != before[name]).any() for name, p in model.named_parameters() if p.numel()
    ]
    assert all(moved)
    assert model.encoder.body.width >= 4


def test_initial_parameters_follow_from_random_state(iris):
    def first(seed):
        options = {"max_iter": 1, "learning_rate": 1e-12, "random_state": seed}
        vae = _fitted(iris, encoder=Dropped, decoder=Dropped, **options)
        return [p.numpy() for p in vae.module_.state_dict().values()]

    torch.manual_seed(5)
    a = first(1)
    torch.manual_seed(6)
    b, c = first(1), first(2)
    assert all(map(np.array_equal, a, b))
    assert not all(map(np.array_equal, a, c))


def test_default_dtype_of_the_user_does_not_matter(iris):
    Z = _fitted(iris, encoder=grouped).transform(iris)
    torch.set_default_dtype(torch.float64)
    try:
        vae = _fitted(iris, encoder=grouped)
    finally:
        torch.set_default_dtype(torch.float32)
    assert all(p.dtype == torch.float32 for p in vae.module_.parameters())
    assert_allclose(vae.transform(iris), Z, atol=0.5)


def test_fits_share_no_parameters_of_one_module(iris):
    network = Dropped(4, 4)
    before = copy.deepcopy(network.state_dict())
    vae = _fitted(iris, encoder=lambda n_in, n_out: network, learning_rate=0.1, **BARE)
    assert all(torch.equal(p, before[k]) for k, p in network.state_dict().items())
    trained = vae.module_.encoder.body.body.module
    assert not torch.equal(trained.first.weight, network.first.weight)


# Dropout


def test_dropout_is_for_steps_alone(iris):
    options = {"init": "random", **BARE}
    kept, dropped = (
        _fitted(iris, encoder=partial(Dropped, fraction=fraction), **options)
        for fraction in (0.0, 0.5)
    )
    assert_array_equal(dropped.transform(iris), dropped.transform(iris))
    # Both begin with the same parameters, and take other steps.
    assert (dropped.transform(iris) != kept.transform(iris)).any()
    assert not any(module.training for module in dropped.module_.encoder.modules())


class Stopper:
    """Stops a fit after two epochs."""

    def setup(self, estimator, context):
        pass

    teardown = on_fit_task_begin = setup

    def on_fit_task_end(self, estimator, context, **kwargs):
        return context.task_name == "epoch" and context.task_id == 1


def test_dropout_goes_on_where_it_was_stopped(iris):
    params = {**TINY, "max_iter": 5, "encoder": Dropped}
    whole = VAETransformer(**params).fit(iris)
    some = VAETransformer(**params).set_callbacks(Stopper()).fit(iris)
    assert some.n_iter_ == 2
    some = pickle.loads(pickle.dumps(some)).set_callbacks()
    some.set_params(warm_start=True).fit(iris)
    assert some.loss_curve_ == whole.loss_curve_


def test_error_in_a_step_leaves_evaluation_mode_and_torch_as_they_were(untouched, iris):
    class Failing(Dropped):
        def forward(self, h):
            if self.training and len(h) > 3:
                raise OSError("out of luck")
            return super().forward(h)

    with pytest.raises(OSError, match="out of luck"):
        _fitted(iris, encoder=Failing)


# The other network, and searches


@pytest.mark.parametrize(
    ("params", "encoder", "decoder"),
    [
        ({"encoder": Dropped}, UserNetwork, Perceptron),
        ({"decoder": Dropped}, Perceptron, UserNetwork),
        ({"encoder": Dropped, "decoder": Perceptron((4,))}, UserNetwork, Perceptron),
        ({"encoder": UserNetwork(Dropped)}, UserNetwork, Perceptron),
    ],
    ids=str,
)
@pytest.mark.parametrize("estimator", [VAETransformer, AutoencoderTransformer])
def test_other_network_is_a_perceptron(iris, estimator, params, encoder, decoder):
    model = _fitted(iris, estimator, **params)
    assert isinstance(model.encoder_, encoder)
    assert isinstance(model.decoder_, decoder)


def test_representation_names_the_function():
    assert repr(UserNetwork(grouped)) == "UserNetwork(grouped)"
    assert repr(UserNetwork(partial(Dropped, n_units=3))) == "UserNetwork(Dropped)"
    assert repr(clone(UserNetwork(Dropped))) == "UserNetwork(Dropped)"


def test_search_over_functions(iris):
    options = [Dropped, grouped, lambda n_in, n_out: nn.Linear(n_in, n_out)]
    vae = VAETransformer(**TINY, early_stopping=False)
    search = GridSearchCV(vae, {"encoder": options}, cv=2)
    search.set_params(error_score="raise").fit(iris)
    assert len({*search.cv_results_["mean_test_score"]}) == 3


@pytest.mark.parametrize("objective", ["iwae", "neighbors"])
def test_functions_serve_objectives_with_draws_and_partners(iris, objective):
    vae = _fitted(iris, encoder=grouped, decoder=grouped, objective=objective)
    assert np.isfinite(vae.score_samples(iris)).all()


def test_functions_serve_imputation(iris):
    X = np.where(np.arange(iris.size).reshape(iris.shape) % 7, iris, np.nan)
    vae = VAETransformer(encoder=Dropped, decoder=grouped, **TINY)
    assert np.isfinite(VAEImputer(estimator=vae).fit_transform(X)).all()


# Pickling


def test_lambda_fits_and_is_copied_but_its_pickling_names_the_remedy(iris):
    vae = _fitted(iris, encoder=lambda n_in, n_out: grouped(n_in, n_out))
    Z = vae.transform(iris)
    assert_array_equal(copy.deepcopy(vae).transform(iris), Z)
    # As parallel searches pickle it.
    wrapped = wrap_non_picklable_objects(vae, keep_wrapper=False)
    by_value = pickle.loads(pickle.dumps(wrapped))
    assert_array_equal(by_value.transform(iris), Z)
    for dump in (pickle.dumps, lambda v: pickle._Pickler(io.BytesIO()).dump(v)):
        with pytest.raises(
            (pickle.PicklingError, AttributeError),
            match=r"lambda> of encoder=.*define it in a module, by def or class",
        ):
            dump(vae)


def test_network_of_a_lambda_is_not_the_network_of_another(iris):
    one = _fitted(iris, encoder=lambda n_in, n_out: grouped(n_in, n_out))
    one.set_params(warm_start=True, encoder=lambda n_in, n_out: lazy(n_in, n_out))
    with pytest.raises(ValueError, match="requires the architecture of the fitted"):
        one.fit(iris)


# What is refused


class Broken(nn.Module):
    def __init__(self, n_in, n_out, function):
        super().__init__()
        self.layer, self.function = nn.Linear(n_in, n_out), function
        self.table = torch.ones(n_in)

    def forward(self, h):
        return self.function(self, h)


def _broken(function):
    return partial(Broken, function=function)


def _with(layer):
    return lambda n_in, n_out: nn.Sequential(nn.Linear(n_in, n_out), layer(n_out))


REFUSED = {
    "module": (nn.Linear(4, 4), r"encoder must be.*Got a module, Linear.*def make"),
    "class of specs": (Perceptron, r"not a class.*encoder=Perceptron\(\.\.\.\)"),
    "one argument": (lambda n: nn.Linear(n, n), "must take two arguments, n_in and n_"),
    "three": (lambda a, b, c: nn.Linear(a, b), "two arguments.*functools.partial"),
    "no module": (
        lambda a, b: torch.tanh,
        "must return a torch.nn.Module. Got builtin",
    ),
    "batch norm": (_with(nn.BatchNorm1d), "not change its buffers.*LayerNorm and Grou"),
    "batch norm without buffers": (
        _with(partial(nn.BatchNorm1d, track_running_stats=False)),
        "whatever rows are beside it.*BatchNorm.*LayerNorm",
    ),
    "mean of rows": (
        _broken(lambda m, h: m.layer(h - h.mean(0))),
        "rows are beside it",
    ),
    "inputs": (lambda a, b: nn.Linear(a + 1, b), r"map rows \(B, 4\) to \(B, 4\).*5x4"),
    "outputs": (
        lambda a, b: nn.Linear(a, 3),
        r"tensor of shape \(3, 4\). Got shape \(3",
    ),
    "tuple": (_broken(lambda m, h: (m.layer(h),)), "tensor of shape.*Got tuple"),
    "type": (
        _broken(lambda m, h: m.layer(h).double()),
        "float32 rows. Got torch.float64",
    ),
    "not finite": (_broken(lambda m, h: m.layer(h) / 0), "Got torch.float32, not all"),
    "in place": (
        _broken(lambda m, h: m.layer(h.mul_(2))),
        "leave its input.*inplace=F",
    ),
    "noise": (
        _broken(lambda m, h: F.dropout(m.layer(h))),
        r"same outputs in evaluation mode.*training=self\.training",
    ),
    "float64": (
        _broken(lambda m, h: F.linear(h * m.table.float(), m.layer.weight.float())),
        "map rows|in float64",
    ),
    "kept tensor": (
        _broken(
            lambda m, h: torch.matmul(h, m.table[:, None].expand(-1, 4)) + m.layer(h)
        ),
        "map rows.*float64.*parameters or buffers",
    ),
    "detached": (_broken(lambda m, h: m.layer(h).detach()), "gradient.*neither detach"),
}


@pytest.mark.parametrize(("encoder", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_no_network_can_be_is_refused_in_words(untouched, iris, encoder, message):
    with pytest.raises(ValueError, match=message):
        _fitted(iris, encoder=encoder)


def test_error_of_the_function_itself_is_its_own(untouched, iris):
    def failing(n_in, n_out):
        raise OSError("no such file")

    with pytest.raises(OSError, match="no such file"):
        _fitted(iris, encoder=failing)


def test_short_form_is_refused_beside_a_function(iris):
    with pytest.raises(ValueError, match="hidden_layer_sizes must be 'auto' where enc"):
        _fitted(iris, encoder=Dropped, hidden_layer_sizes=(4,))


def test_what_cannot_be_called_is_refused(iris):
    with pytest.raises(
        ValueError, match=r"'encoder' parameter.*Network.*or a callable"
    ):
        _fitted(iris, encoder=3)
