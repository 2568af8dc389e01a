"""Convolutional networks see rows as images in C order, of any size."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch.testing import assert_close

from skvae import AutoencoderTransformer, VAETransformer
from skvae.likelihoods import Categorical, Columns, Gaussian
from skvae.networks import ConvolutionalDecoder, ConvolutionalEncoder

pytestmark = pytest.mark.filterwarnings("ignore:.*components carry nothing")

TINY = {"max_iter": 2, "tol": None, "random_state": 0, "sampler": "prior"}
SHAPES = [(1, 1), (1, 5), (7, 1), (5, 8), (7, 6, 3), (4, 4, 2), (13, 9, 1)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _encoder(shape, n_out=4, columns=None, **options):
    network = ConvolutionalEncoder(
        shape, **{"n_channels": (3, 4), "n_units": 5, **options}
    )
    columns = torch.arange(np.prod(shape)) if columns is None else columns
    return network.build_for_columns(columns, len(columns), n_out, _generator())


def _decoder(shape, n_in=3, columns=None, **options):
    options = {"n_channels": (4, 3), "n_units": 5, **options}
    columns = torch.arange(np.prod(shape)) if columns is None else columns
    network = ConvolutionalDecoder(shape, **options)
    return network.build_for_columns(columns, n_in, len(columns), _generator())


def _images(n, *shape):
    return np.random.default_rng(0).normal(size=(n, *shape))


# References: loops over pixels, in float64


def _convolve(images, weight, bias, stride):
    """Return the convolution of images (B, height, width, channels), by loops."""
    n, height, width, _ = images.shape
    n_out, _, size, _ = weight.shape
    outputs = np.zeros((n, -(-height // stride), -(-width // stride), n_out))
    for y, x in np.ndindex(outputs.shape[1:3]):
        outputs[:, y, x] = bias
        for i, j in np.ndindex(size, size):
            row, column = stride * y + i - size // 2, stride * x + j - size // 2
            if 0 <= row < height and 0 <= column < width:
                outputs[:, y, x] += images[:, row, column] @ weight[:, :, i, j].T
    return outputs


def _transposed(images, weight, bias, stride, to):
    """Return the transpose of a convolution, by loops: each pixel adds its patch."""
    size, outputs = weight.shape[-1], np.zeros((len(images), *to, weight.shape[1]))
    for y, x in np.ndindex(images.shape[1:3]):
        for i, j in np.ndindex(size, size):
            row, column = stride * y + i - size // 2, stride * x + j - size // 2
            if 0 <= row < to[0] and 0 <= column < to[1]:
                outputs[:, row, column] += images[:, y, x] @ weight[:, :, i, j]
    return outputs + bias


def _numbers(module):
    return {k: p.detach().numpy() for k, p in module.double().named_parameters()}


def _perturbed(module):
    random = _generator(1)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(torch.randn(p.shape, generator=random), alpha=0.3)
    return module


@pytest.mark.parametrize(("size", "stride"), [(3, 2), (5, 2), (3, 1), (5, 4), (1, 1)])
@every_shape
def test_encoder_is_the_convolution_of_the_image(shape, size, stride):
    options = {"activation": "tanh", "kernel_size": size, "stride": stride}
    module = _perturbed(_encoder(shape, **options))
    images, p = _images(3, *(*shape, 1)[:3]), _numbers(module)
    h = images
    for k in range(2):
        h = _convolve(h, p[f"layers.{k}.weight"], p[f"layers.{k}.bias"], stride)
        h = np.tanh(h)
    h = np.tanh(h.reshape(3, -1) @ p["dense.0.weight"].T + p["dense.0.bias"])
    answers = module(torch.from_numpy(images.reshape(3, -1)))
    assert_allclose(answers.detach(), h @ p["head.weight"].T, atol=1e-10)


@pytest.mark.parametrize(("size", "stride"), [(3, 2), (5, 2), (3, 1), (5, 4), (1, 1)])
@every_shape
def test_decoder_is_the_transposed_convolution_to_the_image(shape, size, stride):
    options = {"activation": "tanh", "kernel_size": size, "stride": stride}
    module = _perturbed(_decoder(shape, **options))
    z, p = _images(2, 3), _numbers(module)
    h = z
    for k in range(2):
        h = np.tanh(h @ p[f"dense.{k}.weight"].T + p[f"dense.{k}.bias"])
    sizes = [shape[:2]]
    for _ in range(2):
        sizes.insert(0, tuple(-(-length // stride) for length in sizes[0]))
    h = h.reshape(2, *sizes[0], 4)
    h = _transposed(h, p["layers.0.weight"], p["layers.0.bias"], stride, sizes[1])
    h = _transposed(np.tanh(h), p["layers.1.weight"], 0.0, stride, sizes[2])
    answers = module(torch.from_numpy(z))
    assert_allclose(answers.detach(), h.reshape(2, -1), atol=1e-10)


# Values of a column are channels


@pytest.mark.parametrize("make", [_encoder, _decoder])
def test_values_of_a_column_are_channels_wherever_they_lie(make):
    beside = torch.arange(20) // 2
    planes = torch.arange(20) % 10
    where = torch.argsort(planes, stable=True)
    a, b = (_perturbed(make((5, 2), columns=columns)) for columns in (beside, planes))
    if make is _encoder:
        h = torch.randn((4, 20), generator=_generator())
        assert_close(a(h[:, where]), b(h))
    else:
        h = torch.randn((4, 3), generator=_generator())
        assert_close(a(h), b(h)[:, where])


@pytest.mark.parametrize(
    ("likelihood", "n_inputs", "n_outputs"),
    [
        (Gaussian(noise="decoder"), 1, 2),
        (Categorical(3), 3, 3),
        (Columns([(Categorical(3), [0, 2, 4]), (Categorical(3), [1, 3, 5])]), 3, 3),
        ("zero_inflated_negative_binomial", 1, 2),
    ],
    ids=str,
)
def test_values_of_a_column_are_channels_in_a_fit(likelihood, n_inputs, n_outputs):
    X = np.random.default_rng(0).integers(3, size=(40, 6)).astype(float)
    X[0], X[1:3, 3] = 2.0, np.nan
    vae = VAETransformer(
        likelihood=likelihood, encoder=ConvolutionalEncoder((2, 3), 4), **TINY
    )
    vae.fit(X)
    encoder, decoder = vae.module_.encoder.body, vae.module_.decoder.body
    # The encoder also sees which cells are missing.
    assert encoder.layers[0].weight.shape[1] == n_inputs + 1
    assert decoder.layers[-1].weight.shape[1] == n_outputs
    assert np.isfinite(vae.score_samples(X)).all()


def test_columns_of_inputs_and_outputs_are_those_whose_cells_they_show(case):
    """A change of one column changes its inputs alone, and outputs change it alone."""
    model = case.model()
    n = len(case.X)
    # Totals of rows, where they matter, move all.
    moves_all = getattr(case.spec, "size_factor", False)
    for j in range(model.n_features):
        X = case.X.copy()
        X[:, j] = X[np.random.default_rng(0).permutation(n), j]
        h, changed = (
            model.encoder_inputs(torch.from_numpy(model.prepare(x)))
            for x in (case.X, X)
        )
        is_changed = (h != changed).any(0)
        assert moves_all or (model.input_columns[is_changed] == j).all()
    outputs = case.outputs(model, 5).requires_grad_()
    cells = model.cell_log_prob(outputs, torch.from_numpy(model.prepare(case.X[:5])))
    for j in range(model.n_features):
        (gradient,) = torch.autograd.grad(cells[:, j].sum(), outputs, retain_graph=True)
        assert moves_all or (model.output_columns[(gradient != 0).any(0)] == j).all()


@pytest.mark.parametrize("network", [ConvolutionalEncoder, ConvolutionalDecoder])
def test_number_of_columns_that_is_no_image_is_refused(network, digits):
    name = "encoder" if network is ConvolutionalEncoder else "decoder"
    vae = VAETransformer(**{name: network((8, 9))}, **TINY)
    with pytest.raises(ValueError, match=r"8 x 9 = 72\. Got 64 columns\. Set image_sh"):
        vae.fit(digits)


def test_likelihood_with_other_values_per_column_is_refused(iris):
    X = np.column_stack((iris[:, :3], iris[:, 3] > 1))
    likelihood = {0: "gaussian", 1: "gaussian", 2: "gaussian", 3: Categorical(2)}
    vae = VAETransformer(likelihood=likelihood, encoder=ConvolutionalEncoder((2, 2)))
    with pytest.raises(ValueError, match=r"as many values.*Got 1 to 2.*Perceptron"):
        vae.set_params(**TINY).fit(X)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"image_shape": (4,)},
            r"image_shape must be \(height, width\) or.*Got \(4,\)",
        ),
        ({"image_shape": (4, 0)}, r"image_shape must be positive integers.*\(4, 0\)"),
        ({"n_channels": ()}, r"n_channels have a number per convolution.*\(\)"),
        ({"n_channels": (4, 2.5)}, r"n_channels must be positive integers.*2\.5"),
        ({"n_units": -1}, r"n_units must be positive integers. Got -1"),
        (
            {"kernel_size": 4},
            r"kernel_size must be odd.*Got kernel_size=4 and stride=2",
        ),
        ({"stride": 5}, r"at least as large as stride.*kernel_size=3 and stride=5"),
        ({"activation": "step"}, r"activation must be 'auto' or one of.*'step'"),
    ],
    ids=str,
)
def test_invalid_convolution_is_refused(params, message):
    network = ConvolutionalEncoder((4, 4)).set_params(**params)
    with pytest.raises(ValueError, match=message):
        network.resolved(16)


# The pair


def test_encoder_and_decoder_are_mirror_images():
    encoder = ConvolutionalEncoder((8, 8), (4, 8, 6), n_units=(9, 7), kernel_size=5)
    decoder = ConvolutionalDecoder((8, 8), (6, 8, 4), n_units=(7, 9), kernel_size=5)
    assert repr(encoder.mirrored()) == repr(decoder)
    assert repr(decoder.mirrored()) == repr(encoder)
    shapes = [
        [tuple(p.shape) for p in network.build(64, 64, _generator()).parameters()]
        for network in (encoder, decoder)
    ]
    # Biases apart, which belong to what a layer gives.
    weights = [[shape for shape in each if len(shape) > 1] for each in shapes]
    turned = [(m, n, *rest) for n, m, *rest in weights[0] if rest]
    assert {(m, n, *r) for m, n, *r in weights[1] if r} == {
        (n, m, *r) for m, n, *r in turned
    }


@pytest.mark.parametrize(
    ("estimator", "init"),
    [(VAETransformer, "pca"), (AutoencoderTransformer, "random")],
)
def test_pair_learns_images(digits, estimator, init):
    encoder = ConvolutionalEncoder((8, 8), (8, 16), n_units=32)
    model = estimator(
        8, encoder=encoder, init=init, max_iter=12, tol=None, random_state=0
    )
    model.set_params(batch_size=32, learning_rate=0.01)
    if estimator is VAETransformer:
        model.set_params(objective="elbo", sampler="prior")
    curve = model.fit(digits[::5]).validation_curve_
    assert min(curve[1:]) < curve[0] - 3.0


def test_rows_in_float64_are_answered_alone(digits):
    vae = VAETransformer(encoder=ConvolutionalEncoder((8, 8)), **TINY).fit(digits[:200])
    Z = vae.transform(digits[:20])
    assert Z.dtype == np.float64
    assert_allclose(vae.transform(digits[7:8]), Z[7:8], rtol=1e-12)
    near = vae.transform(digits[:20].astype(np.float32))
    assert near.dtype == np.float32
    assert_allclose(near, Z, atol=1e-4)


def test_width_counts_the_patches_of_a_convolution():
    module = _encoder((8, 8), n_channels=(3, 4))
    assert module.width == 4 * 4 * 9 * 4
