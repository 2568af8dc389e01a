"""Networks start linear, stay in bounds, and train in every part."""

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from skvae.networks import ACTIVATIONS, Decoder, Encoder

HIDDEN = [(), (8,), (8, 6)]


def _encoder(hidden=(8,), activation="tanh", linear_path=True, stochastic=True, seed=0):
    random = torch.Generator().manual_seed(seed)
    return Encoder(5, 3, hidden, activation, linear_path, stochastic, random)


def _decoder(hidden=(8,), activation="tanh", linear_path=True, seed=0):
    random = torch.Generator().manual_seed(seed)
    return Decoder(3, 5, hidden, activation, linear_path, random)


def _perturb(network, scale=1.0):
    random = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in network.parameters():
            p.add_(torch.randn(p.shape, generator=random), alpha=scale)
    return network


def _inputs(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("hidden", HIDDEN)
def test_encoder_with_a_linear_path_starts_linear(hidden):
    encoder, h = _encoder(hidden), _inputs(7, 5)
    with torch.no_grad():
        encoder.linear.copy_(_inputs(3, 5))
    mean, log_var = encoder(h)
    assert_close(mean, F.linear(h, encoder.linear), rtol=0, atol=0)
    assert_close(log_var, torch.zeros(7, 3))


@pytest.mark.parametrize("hidden", HIDDEN)
def test_decoder_with_a_linear_path_starts_linear(hidden):
    decoder, z = _decoder(hidden), _inputs(7, 3)
    with torch.no_grad():
        decoder.linear.copy_(_inputs(5, 3))
        decoder.bias.fill_(2.0)
    assert_close(decoder(z), F.linear(z, decoder.linear) + 2.0)


@pytest.mark.parametrize("make", [_encoder, _decoder])
def test_network_with_linear_path_and_no_hidden_layer_stays_linear(make):
    network = make((), "relu")
    assert {name for name, _ in network.named_parameters()} == {
        "linear",
        "perceptron.bias",
    }


@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("make", [_encoder, _decoder])
def test_network_without_linear_path_starts_random_by_seed(make, hidden):
    nets = [make(hidden, linear_path=False, seed=seed) for seed in (0, 0, 1)]
    assert all(net.linear is None for net in nets)
    assert "linear" not in dict(nets[0].named_parameters())
    weights = [net.perceptron.head.weight for net in nets]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("make", [_encoder, _decoder])
def test_hidden_weights_beside_a_linear_path_are_orthogonal(make):
    layers = make((8, 6)).perceptron.hidden
    for weight in (layers[0].weight, layers[1].weight.T):
        assert_close(weight.T @ weight, torch.eye(weight.shape[1]))


@pytest.mark.parametrize("make", [_encoder, _decoder])
def test_hidden_weights_without_linear_path_are_glorots(make):
    first, second = make((40, 60), linear_path=False).perceptron.hidden
    for weight in (first.weight, second.weight):
        most = (6.0 / sum(weight.shape)) ** 0.5
        assert 0.9 * most < weight.abs().max() <= most


@pytest.mark.parametrize("make", [_encoder, _decoder])
def test_network_touches_nothing_global(untouched, make):
    make(linear_path=False)


@pytest.mark.parametrize("linear_path", [True, False])
@pytest.mark.parametrize("hidden", HIDDEN)
def test_network_maps_each_row_alone_under_leading_dimensions(hidden, linear_path):
    encoder = _perturb(_encoder(hidden, linear_path=linear_path))
    decoder = _perturb(_decoder(hidden, linear_path=linear_path))
    h = _inputs(4, 6, 5)
    mean, log_var = encoder(h)
    outputs = decoder(mean)
    assert mean.shape == log_var.shape == (4, 6, 3)
    assert outputs.shape == (4, 6, 5)
    assert_close(encoder(h[1, 2])[0], mean[1, 2])
    assert_close(encoder(h[1, 2])[1], log_var[1, 2])
    assert_close(decoder(mean[1, 2]), outputs[1, 2])


def test_encoder_without_noise_has_no_log_variance():
    mean, log_var = _encoder(stochastic=False)(_inputs(7, 5))
    assert mean.shape == (7, 3)
    assert log_var is None


@pytest.mark.parametrize("linear_path", [True, False])
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize(("make", "n_in"), [(_encoder, 5), (_decoder, 3)])
def test_network_gives_every_parameter_a_gradient(make, n_in, hidden, linear_path):
    network = _perturb(make(hidden, linear_path=linear_path), 0.3)
    outputs = network(_inputs(9, n_in))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    sum(out.square().sum() for out in outputs).backward()
    for name, p in network.named_parameters():
        # A whole row or column without a gradient would be a dead unit.
        assert (p.grad.reshape(len(p), -1).abs().sum(1) > 0).all(), name


def test_encoder_bounds_its_log_variance():
    encoder = _perturb(_encoder(linear_path=False), 1e6)
    _, log_var = encoder(_inputs(50, 5))
    assert log_var.min() == -30.0
    assert log_var.max() == 10.0


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_network_is_linear_only_with_the_identity(activation):
    decoder = _perturb(_decoder(activation=activation, linear_path=False))
    a, b = _inputs(2, 7, 3)
    middle = decoder((a + b) / 2)
    gap = (middle - (decoder(a) + decoder(b)) / 2).abs().max()
    assert (gap < 1e-5) == (activation == "identity")
