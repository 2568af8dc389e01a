"""The plain autoencoder."""

import torch

from skvae import objectives
from skvae._apply import map_rows
from skvae._base import LatentTransformer
from skvae.schedules import Constant


class AutoencoderTransformer(LatentTransformer):
    r"""Autoencoder: the deterministic baseline beside `VAETransformer`.

    A row is encoded as a point of K components and decoded; fitting minimizes
    :math:`-\log p(x \mid z)`, the reconstruction error [1]_. There is no distribution
    over the components, so the latent space can be neither sampled nor scored.

    Parameters
    ----------
    n_components : int, default=2
        Number of components of the code, K. May exceed the number of columns.
    likelihood : {"gaussian", "bernoulli"} or Likelihood, default="gaussian"
        What a column is, and so which error is minimized: `"gaussian"` squared error
        of standardized columns, `"bernoulli"` cross-entropy of values in [0, 1].
    hidden_layer_sizes : "auto", int or array-like of int, default="auto"
        Sizes of the encoder's hidden layers; the decoder's are the same, reversed.
        `()` makes the model linear. `"auto"`: three layers of twice the number of
        columns, at least 128 and at most 256.
    activation : str, default="auto"
        Activation of the hidden layers: `"identity"`, `"logistic"`, `"tanh"`,
        `"relu"`, `"gelu"` or `"silu"`. `"auto"`: `"gelu"`.
    init : {"pca", "random"}, default="pca"
        `"pca"` adds a linear path to encoder and decoder and starts it at PCA; the
        hidden layers learn what it leaves. `"random"` has no linear path.
    solver : {"adam", "adamw", "rmsprop", "sgd"}, default="adam"
        Optimizer. `"rmsprop"` decays with 0.9; `"sgd"` has momentum 0.9.
    learning_rate : str or Schedule, default="auto"
        How the learning rate changes, as a factor of `learning_rate_init`:
        `"constant"`, `"cosine"`, `"one_cycle"` or one of :mod:`skvae.schedules`.
        `"auto"`: `"one_cycle"`, a rise to `learning_rate_init` during the first 30 %
        of `max_iter` epochs, then a fall to nearly zero.
    learning_rate_init : "auto" or float, default="auto"
        Largest learning rate. `"auto"`: 0.002.
    alpha : float, default=0.0
        Weight decay of the weight matrices; decoupled with `solver="adamw"`.
    batch_size : "auto" or int, default="auto"
        Rows per step. `"auto"`: 128, or all rows if there are fewer.
    max_iter : "auto" or int, default="auto"
        Most epochs. `"auto"`: as many as take 4,000 steps, at least 10 and at most
        300.
    tol : float or None, default=0.01
        Least improvement, in nats per row, that counts as one. None trains for
        `max_iter` epochs whatever the loss does.
    early_stopping : bool, default=True
        Hold out rows, stop when their loss no longer improves, and return the state
        where it was least. With `init="pca"`, if no state beats the linear start, that
        start is fitted to all rows and returned; with a Gaussian likelihood and fewer
        components than columns, a state must not reconstruct held-out rows worse than
        the start either. Without early stopping, or with fewer than 10 distinct rows,
        the training loss is watched and the model of the last epoch returned.
    validation_fraction : "auto" or float, default="auto"
        Part of the distinct rows to hold out, in (0, 1). `"auto"`: 200 rows, but at
        least 0.1 and at most 0.2 of them. Which rows follows from the rows alone:
        every so many by distance from the center, or of their hashes where there are
        more than 10,000.
    n_iter_no_change : "auto" or int, default="auto"
        Epochs without improvement after which training stops, but not before a state
        has beaten a start at PCA. `"auto"`: a fifth of `max_iter`, at least 10.
    average : bool, default=True
        Let the model of an epoch be an average of the weights so far, in which late
        ones weigh most [2]_, not the last weights: the noise of single steps is no
        part of it.
    handle_unknown : {"error", "missing"}, default="error"
        What becomes of a category that was not there in `fit`: an error, or a missing
        cell.
    mask_fraction : "auto" or float, default="auto"
        Part of the observed cells, in [0, 1], that training masks at most: of each row
        and step another part, drawn uniformly, of cells drawn at random. It teaches
        the encoder to read rows with any cells missing. `"auto"`: 1 if rows of `fit`
        have missing cells, otherwise 0.
    warm_start : bool, default=False
        Go on from the fitted state when `fit` is called again. Scaling, seed and
        `beta` of the first fit are kept; schedules of the learning rate start again.
    precision : {"float32", "bfloat16"}, default="float32"
        Precision of the networks' products while training. `"bfloat16"` keeps 8 bits
        of each factor; weights, losses and all answers stay float32 or better.
    device : str or torch.device, default="auto"
        Where to train and answer. `"auto"`: a CUDA GPU if there is one, else the CPU.
    random_state : int, RandomState instance or None, default=None
        Seed of all draws. With None every fit differs; NumPy's global state is
        neither used nor changed.
    verbose : bool, default=False
        Print the losses of each epoch.

    Attributes
    ----------
    n_components_ : int
        Number of components of the code.
    importance_per_component_ : ndarray of shape (n_components,)
        Mean squared change of the decoder's outputs where a component takes its mean,
        descending.
    n_iter_ : int
        Number of epochs run.
    loss_curve_, reconstruction_curve_ : list of float
        Mean training loss per row after each epoch, in nats.
    validation_curve_ : list of float or None
        Held-out loss before training and after each epoch; None without held-out
        rows.
    best_loss_ : float
        Held-out loss of the state returned, or least training loss without held-out
        rows.
    hidden_layer_sizes_ : tuple of int
        Outcome of `hidden_layer_sizes`.
    activation_ : str
        Outcome of `activation`.
    learning_rate_ : Schedule
        Outcome of `learning_rate`.
    learning_rate_init_, validation_fraction_, mask_fraction_ : float
        Outcomes of `learning_rate_init`, `validation_fraction` and `mask_fraction`.
    batch_size_, max_iter_, n_iter_no_change_ : int
        Outcomes of `batch_size`, `max_iter` and `n_iter_no_change`.
    module_ : torch.nn.Module
        The trained model.
    device_ : str
        Device of the model.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of the columns, if they are all strings.

    See Also
    --------
    VAETransformer : Encodes rows as distributions, so that it can also sample and
        score.
    sklearn.decomposition.PCA : The linear counterpart.

    Notes
    -----
    Components come ordered by how much of the reconstruction depends on them, with a
    fixed sign. All methods but `fit` are deterministic.

    References
    ----------
    .. [1] Hinton & Salakhutdinov (2006). Reducing the dimensionality of data with
       neural networks. Science 313. https://doi.org/10.1126/science.1127647
    .. [2] Shamir & Zhang (2013). Stochastic gradient descent for non-smooth
       optimization: convergence results and optimal averaging schemes. ICML.
       https://arxiv.org/abs/1212.1824

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import AutoencoderTransformer
    >>> X = load_iris().data
    >>> autoencoder = AutoencoderTransformer(max_iter=20, random_state=0).fit(X)
    >>> autoencoder.transform(X).shape
    (150, 2)
    """

    _prior = None
    _objective = staticmethod(objectives.reconstruction)
    _information_name = "importance_per_component_"

    def __init__(
        self,
        n_components=2,
        *,
        likelihood="auto",
        hidden_layer_sizes="auto",
        activation="auto",
        init="pca",
        solver="adam",
        learning_rate="auto",
        learning_rate_init="auto",
        alpha=0.0,
        batch_size="auto",
        max_iter="auto",
        tol=0.01,
        early_stopping=True,
        validation_fraction="auto",
        n_iter_no_change="auto",
        average=True,
        handle_unknown="error",
        mask_fraction="auto",
        warm_start=False,
        precision="float32",
        device="auto",
        random_state=None,
        verbose=False,
    ):
        self.n_components = n_components
        self.likelihood = likelihood
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.init = init
        self.solver = solver
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.alpha = alpha
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.average = average
        self.handle_unknown = handle_unknown
        self.mask_fraction = mask_fraction
        self.warm_start = warm_start
        self.precision = precision
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    def score_samples(self, X):
        """Return minus the reconstruction error of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        score : ndarray of shape (n_samples,)
            Minus the mean over columns of the squared error, each column in the units
            that the likelihood works in: standard deviations for `"gaussian"`, the
            values themselves for `"bernoulli"`. At most 0; not a log-density.
        """

        def minus_error(model, x):
            return -model.squared_error(model.posterior(x)[0], x)

        X = self._check_fitted_X(X)
        return map_rows(self.module_, minus_error, X)

    def _weights_for(self, model, signal_to_noise):
        return Constant(0.0), 0.0

    @staticmethod
    def _information(model, x, center):
        """Return how far outputs move when a component takes its mean, (B, K)."""
        code, _ = model.posterior(x)
        outputs = model.decoder(code)
        moved = []
        for k in range(code.shape[1]):
            without = code.clone()
            without[:, k] = center[k]
            moved.append((model.decoder(without) - outputs).square().mean(-1))
        return torch.stack(moved, dim=1)
