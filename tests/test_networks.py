"""Networks start linear, and train in every part."""

from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.base import clone
from torch import nn
from torch.testing import assert_close

from skvae import VAETransformer
from skvae.networks import (
    ACTIVATIONS,
    Branches,
    ConvolutionalEncoder,
    LinearPath,
    Network,
    Perceptron,
    ResidualPerceptron,
)

HIDDEN = [(), (8,), (8, 6)]


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _branches(n_in, n_out, n_linear, hidden=(8,), *, has_path=True, seed=0, **options):
    network = hidden if isinstance(hidden, Network) else Perceptron(hidden, "tanh")
    if isinstance(hidden, Network) and n_in < 5:
        network = hidden.mirrored()
    network = network.set_params(**options)
    random = partial(_generator, seed)
    return Branches(network, n_in, n_out, n_linear * has_path, random)


# An encoder of two outputs per component, of which the first have a linear map, and a
# decoder, all of whose outputs have one.
_encoder, _decoder = partial(_branches, 5, 6, 3), partial(_branches, 3, 5, 5)
both = pytest.mark.parametrize(("make", "n_in"), [(_encoder, 5), (_decoder, 3)])


def _perturb(network, scale=1.0):
    random = _generator(1)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn(p.shape, generator=random), alpha=scale)
    return network


def _inputs(*shape):
    return torch.randn(shape, generator=_generator(2))


class WavesModel(nn.Module):
    def __init__(self, n_in, n_out, random):
        super().__init__()
        self.map = nn.Parameter(torch.randn((n_out, n_in), generator=random))

    def forward(self, h):
        return torch.sin(h) @ self.map.T


class Waves(Network):
    """A body that does not know how to start at zero."""

    def build(self, n_in, n_out, random):
        return WavesModel(n_in, n_out, random)


# A new network is a line here: as an encoder of five columns.
NETWORKS = [
    *HIDDEN,
    Waves(),
    ResidualPerceptron(2, 8),
    ResidualPerceptron(1, 6, "tanh"),
    ConvolutionalEncoder((5, 1), (3, 4), n_units=6),
    ConvolutionalEncoder((1, 5), 3, n_units=(), kernel_size=5, stride=1),
]
every_network = pytest.mark.parametrize("hidden", NETWORKS, ids=repr)


# The linear path


@every_network
@both
def test_network_with_a_linear_path_starts_linear(make, n_in, hidden):
    network = make(hidden)
    path, h = _perturb(network.path), _inputs(7, n_in)
    n_linear = len(path.weight)
    expected = path.bias.expand(7, -1).clone()
    expected[:, :n_linear] += F.linear(h, path.weight)
    assert_close(network(h), expected)


def test_linear_path_without_a_map_adds_its_bias_alone():
    path = _perturb(LinearPath(3, 5, 0))
    assert not path.has_map
    h, outputs = _inputs(7, 3), _inputs(2, 7, 5)
    assert torch.equal(path(h, outputs), outputs + path.bias)


@both
def test_perceptron_with_linear_path_and_no_hidden_layer_stays_linear(make, n_in):
    network = make(())
    assert network.is_linear
    assert not make((8,)).is_linear
    assert {*dict(network.named_parameters())} == {"path.weight", "path.bias"}


@every_network
@both
def test_network_without_linear_path_starts_random_by_seed(make, n_in, hidden):
    a, b, c = (make(hidden, has_path=False, seed=seed) for seed in (0, 0, 1))
    assert not any(network.path.has_map or network.is_linear for network in (a, b, c))
    h = _inputs(7, n_in)
    assert torch.equal(a(h), b(h))
    assert (a(h) != c(h)).all()


def test_body_that_cannot_start_at_zero_is_let_in_by_a_gate():
    network, h = _decoder(Waves()), _inputs(7, 3)
    assert not network(h).any()
    network(h).sum().backward()
    assert network.body.gate.grad != 0
    with torch.no_grad():
        network.body.gate.fill_(0.5)
    assert_close(network(h), 0.5 * Waves().build(3, 5, _generator())(h))
    assert not hasattr(_decoder(Waves(), has_path=False).body, "gate")


# Perceptrons


@both
def test_hidden_weights_beside_a_linear_path_are_orthogonal(make, n_in):
    layers = make((8, 6)).body.hidden
    for weight in (layers[0].weight, layers[1].weight.T):
        assert_close(weight.T @ weight, torch.eye(weight.shape[1]))


@both
def test_hidden_weights_without_linear_path_are_glorots(make, n_in):
    for layer in make((40, 60), has_path=False).body.hidden:
        most = (6.0 / sum(layer.weight.shape)) ** 0.5
        assert 0.9 * most < layer.weight.abs().max() <= most


@pytest.mark.parametrize("has_path", [True, False])
@every_network
@both
def test_network_touches_nothing_global(untouched, make, n_in, hidden, has_path):
    make(hidden, has_path=has_path)


@pytest.mark.parametrize("has_path", [True, False])
@every_network
@both
def test_network_maps_each_row_alone_under_leading_dimensions(
    make, n_in, hidden, has_path
):
    # In float64, since sums of large numbers differ by their rounding.
    network = _perturb(make(hidden, has_path=has_path)).double()
    h = _inputs(4, 6, n_in).double()
    outputs = network(h)
    assert outputs.shape == (4, 6, {5: 6, 3: 5}[n_in])
    assert_close(network(h[1, 2]), outputs[1, 2])


@pytest.mark.parametrize("has_path", [True, False])
@every_network
@both
def test_network_gives_every_parameter_a_gradient(make, n_in, hidden, has_path):
    network = _perturb(make(hidden, has_path=has_path), 0.3)
    network(_inputs(9, n_in)).square().sum().backward()
    for name, p in network.named_parameters():
        if p.numel():
            # A whole row or column without a gradient would be a dead unit.
            assert (
                p.grad.reshape(len(p) if p.dim() else 1, -1).abs().sum(1) > 0
            ).all(), name


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_network_is_linear_only_with_the_identity(activation):
    decoder = _perturb(_decoder(activation=activation, has_path=False))
    a, b = _inputs(2, 7, 3)
    middle = decoder((a + b) / 2)
    gap = (middle - (decoder(a) + decoder(b)) / 2).abs().max()
    assert (gap < 1e-5) == (activation == "identity")


# Residual perceptrons


def test_residual_perceptron_is_the_sum_of_its_blocks():
    network = _perturb(ResidualPerceptron(2, 6, "tanh").build(4, 3, _generator()))
    network, h = network.double(), _inputs(7, 4).double()
    p = {name: value.detach().numpy() for name, value in network.named_parameters()}

    def layer(name, h):
        return h @ p[f"{name}.weight"].T + p.get(f"{name}.bias", 0.0)

    expected = layer("first", h.numpy())
    for k in range(2):
        inner = layer(f"blocks.{k}.first", expected)
        expected = expected + layer(f"blocks.{k}.second", np.tanh(inner)) / 2
    expected = layer("head", np.tanh(expected))
    assert_close(network(h).detach(), torch.from_numpy(expected))


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (ResidualPerceptron(0), r"n_blocks must be a positive integer\. Got 0"),
        (ResidualPerceptron(n_units=2.5), r"n_units must be a positive.*Got 2\.5"),
        (ResidualPerceptron(activation="step"), r"activation must be 'auto' or one of"),
    ],
    ids=repr,
)
def test_invalid_residual_perceptron_is_refused(network, message):
    with pytest.raises(ValueError, match=message):
        network.resolved(5)


def test_residual_perceptron_learns_a_table(iris):
    encoder = ResidualPerceptron(1, 16)
    vae = VAETransformer(1, encoder=encoder, objective="elbo", random_state=0)
    vae.set_params(max_iter=20, tol=None, learning_rate=0.01, sampler="prior")
    curve = vae.fit(iris).validation_curve_
    assert repr(vae.decoder_) == repr(encoder.set_params(activation="gelu"))
    assert min(curve[1:]) < curve[0] - 0.1


@pytest.mark.filterwarnings("ignore:Maximum iterations", "ignore:.*carry nothing")
@pytest.mark.parametrize("init", ["pca", "random"])
def test_deep_stack_of_residual_blocks_trains(init, iris):
    network = ResidualPerceptron(40)
    vae = VAETransformer(encoder=network, decoder=network, objective="elbo", init=init)
    curve = vae.set_params(random_state=0, tol=None, max_iter=5).fit(iris).loss_curve_
    assert curve[-1] < curve[0]
    assert max(curve) < curve[0] + 0.5


# Specs


@pytest.mark.parametrize(
    ("given", "resolved"),
    [
        (Perceptron(), Perceptron((128, 128, 128), "gelu")),
        (Perceptron("auto", "relu"), Perceptron((128, 128, 128), "relu")),
        (Perceptron(7), Perceptron((7,), "gelu")),
        (Perceptron([9, 4]), Perceptron((9, 4), "gelu")),
        (Perceptron(()), Perceptron((), "gelu")),
        (ResidualPerceptron(), ResidualPerceptron(2, 128, "gelu")),
        (ResidualPerceptron(3, 9, "relu"), ResidualPerceptron(3, 9, "relu")),
    ],
    ids=repr,
)
def test_network_is_resolved(given, resolved):
    assert repr(given.resolved(5)) == repr(resolved)


@pytest.mark.parametrize(("n_columns", "size"), [(5, 128), (100, 200), (999, 256)])
def test_auto_sizes_follow_the_number_of_columns(n_columns, size):
    assert Perceptron().resolved(n_columns).hidden_layer_sizes == (size,) * 3
    assert ResidualPerceptron().resolved(n_columns).n_units == size


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Perceptron((8, 0)), r"hidden_layer_sizes must be positive.*Got 0"),
        (Perceptron((8, 2.5)), r"hidden_layer_sizes must be positive.*Got 2\.5"),
        (Perceptron((8,), "step"), r"activation must be 'auto' or one of.*Got 'step'"),
    ],
    ids=repr,
)
def test_invalid_perceptron_is_refused(network, message):
    with pytest.raises(ValueError, match=message):
        network.resolved(5)


@pytest.mark.parametrize(
    ("given", "mirrored"),
    [
        (Perceptron((9, 4), "relu"), Perceptron((4, 9), "relu")),
        (Perceptron(), Perceptron()),
        (Perceptron(8), Perceptron(8)),
        (Waves(), Waves()),
        (ResidualPerceptron(3), ResidualPerceptron(3)),
    ],
    ids=repr,
)
def test_network_is_mirrored(given, mirrored):
    assert repr(given.mirrored()) == repr(mirrored)
    assert repr(clone(given)) == repr(given)
