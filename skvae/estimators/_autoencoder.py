"""The plain autoencoder."""

import torch

from skvae.estimators._base import LatentTransformer
from skvae.objectives import Reconstruction
from skvae.priors import NoPrior


class AutoencoderTransformer(LatentTransformer):
    r"""Autoencoder: the deterministic baseline beside `VAETransformer`.

    A row is encoded as a point of K components and decoded; fitting minimizes
    :math:`-\log p(x \mid z)`, the reconstruction error [1]_. There is no distribution
    over the components, so the latent space can be neither sampled nor scored.

    Parameters
    ----------
    n_components : int, default=2
        Number of latent components, K. May exceed the number of columns.
    likelihood : str, Likelihood, dict or list, default="auto"
        What a column is, which determines the error that is minimized: `"gaussian"` the
        squared error of standardized columns, `"bernoulli"` the cross-entropy of values
        in [0, 1]. `"auto"` goes by the type of a column; see :class:`VAETransformer`.
    encoder, decoder : Network or callable, default=None
        Specs of the networks, see :mod:`skvae.networks`, or functions `(n_in, n_out)`
        that return a new `torch.nn.Module`, see :class:`~skvae.networks.UserNetwork`.
        None: a :class:`~skvae.networks.Perceptron` with `hidden_layer_sizes` and
        `activation` or, if the other network is given, its mirror image, which for a
        function is a default perceptron.
    hidden_layer_sizes : "auto", int or array-like of int, default="auto"
        Sizes of the encoder's hidden layers; the decoder's are the same, reversed.
        `()` makes the model linear. `"auto"`: three layers of twice the number of
        columns, at least 128 and at most 256.
    activation : str, default="auto"
        Activation of the hidden layers: `"identity"`, `"logistic"`, `"tanh"`,
        `"relu"`, `"gelu"` or `"silu"`. `"auto"`: `"gelu"`.
    init : {"pca", "random"}, default="pca"
        `"pca"` adds a linear path to encoder and decoder and starts it at PCA; the
        hidden layers learn what it cannot express. `"random"` has no linear path.
    solver : {"adam", "rmsprop", "sgd"}, default="adam"
        Optimizer. `"rmsprop"` decays with 0.9; `"sgd"` has momentum 0.9.
    learning_rate : "auto", float or Schedule, default="auto"
        A number is the largest learning rate of
        :class:`~skvae.schedules.OneCycle`: a rise during the first 30 % of `max_iter`
        epochs, then a fall to nearly zero. A schedule gives the learning rate itself.
        `"auto"`: `OneCycle(value=0.002)`.
    batch_size : "auto" or int, default="auto"
        Rows per step. `"auto"`: 128, or all rows if there are fewer.
    max_iter : "auto" or int, default="auto"
        Largest number of epochs. `"auto"`: as many as take 4,000 steps, at least 10 and
        at most 300.
    max_time : float or None, default=None
        Time for epochs, in seconds: the fit ends with the epoch in which it is over.
        :func:`skvae.resume` counts what was used before. None: no limit.
    tol : float or None, default=0.01
        Smallest decrease of the loss, in nats per row, that counts as an improvement.
        None trains for `max_iter` epochs in any case.
    early_stopping : bool, default=True
        Hold out rows, stop when their loss no longer improves, and return the state
        with the least loss. With `init="pca"`, if no state beats the linear start, that
        start is fitted to all rows and returned; with a Gaussian likelihood and fewer
        components than columns, a state must not reconstruct held-out rows worse than
        the start either. Without early stopping, or with fewer than 10 distinct rows,
        training stops by the training loss, and the model of the last epoch is
        returned.
    validation_fraction : "auto" or float, default="auto"
        Fraction of the distinct rows to hold out, in (0, 1). `"auto"`: 200 rows, but
        at least 0.1 and at most 0.2 of them. The choice depends on the rows alone: they
        are sorted by distance from the center (more than 10,000 rows: by hash) and held
        out at even intervals.
    n_iter_no_change : "auto" or int, default="auto"
        Epochs without improvement after which training stops, but not before a state
        has beaten a start at PCA. `"auto"`: a fifth of `max_iter`, at least 10.
    handle_unknown : {"error", "missing"}, default="error"
        Whether a category that was not seen in `fit` is an error or a missing cell.
    hidden_fraction : "auto" or float, default="auto"
        Largest fraction of the observed cells, in [0, 1], that is hidden while
        training. Each row, at each step, hides its own fraction, drawn uniformly from
        [0, `hidden_fraction`], so that the encoder learns to read rows with any cells
        missing. `"auto"`: 1 if rows of `fit` have missing cells, otherwise 0.
    warm_start : bool, default=False
        Continue from the fitted state when `fit` is called again. A fit that was
        stopped, by a callback, Ctrl-C or `max_time`, continues where it was if its
        settings and rows are the same (`max_iter`, `max_time` and `n_iter_no_change`
        may change), and then equals the uninterrupted one. After a fit that ended by
        itself, up to `max_iter` more epochs follow, with schedules from their
        beginning. Scaling and seed of the first fit are kept. For fits in another
        process see :func:`skvae.resume`.
    device : str or torch.device, default="auto"
        Device of the model. `"auto"`: a CUDA GPU if there is one, else the CPU.
    random_state : int, RandomState instance or None, default=None
        Seed of all draws. With None every fit differs; NumPy's global state is
        neither used nor changed.
    verbose : bool, default=False
        Print the losses of each epoch, and how long the others take at most.

    Attributes
    ----------
    n_components_ : int
        Number of latent components.
    importance_per_component_ : ndarray of shape (n_components,)
        Mean squared change of the decoder's outputs if the component is replaced by its
        mean, descending.
    explained_variance_ratio_ : ndarray of shape (n_components,)
        How much R2 rises with each component, as in PCA of standardized columns:
        increments of what :func:`skvae.inspection.cumulative_r2` gives for training
        rows, taken as if at random: 20,000 / K of them for K components, but at least
        200 and at most 10,000. With a nonlinear decoder they need not descend, and can
        be negative. Their sum is R2 with all components.
    n_iter_ : int
        Number of epochs run.
    loss_curve_ : list of float
        Mean loss per training row after each epoch, in nats. Where training hides
        cells, it is computed without hidden cells, for as many training rows as are
        held out.
    term_curves_ : dict of str to list of float
        Its only term, `"reconstruction"`.
    term_weights_ : dict of str to list of float
        Weights of the terms by name, after each epoch.
    validation_curve_ : list of float or None
        Held-out loss before training and after each epoch; None without held-out
        rows.
    best_loss_ : float
        Least held-out loss of a state that was accepted, or least training loss without
        held-out rows. If the start was the best state, it is the loss of the start
        before it was fitted to all rows.
    likelihood_ : Likelihood
        What each column was taken for, with numbers of categories. Its representation
        can be edited and passed as `likelihood`.
    encoder_, decoder_ : Network
        The specs of the networks, with sizes and activations.
    learning_rate_ : Schedule
        Outcome of `learning_rate`.
    validation_fraction_, hidden_fraction_ : float
        Outcomes of `validation_fraction` and `hidden_fraction`.
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
    fixed sign. The model after an epoch has the average of the parameters over the
    steps so far, in which late steps weigh most [2]_. All methods but `fit` are
    deterministic.

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

    _prior = NoPrior()

    def __init__(
        self,
        n_components=2,
        *,
        likelihood="auto",
        encoder=None,
        decoder=None,
        hidden_layer_sizes="auto",
        activation="auto",
        init="pca",
        solver="adam",
        learning_rate="auto",
        batch_size="auto",
        max_iter="auto",
        max_time=None,
        tol=0.01,
        early_stopping=True,
        validation_fraction="auto",
        n_iter_no_change="auto",
        handle_unknown="error",
        hidden_fraction="auto",
        warm_start=False,
        device="auto",
        random_state=None,
        verbose=False,
    ):
        self.n_components = n_components
        self.likelihood = likelihood
        self.encoder = encoder
        self.decoder = decoder
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.init = init
        self.solver = solver
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.max_time = max_time
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.handle_unknown = handle_unknown
        self.hidden_fraction = hidden_fraction
        self.warm_start = warm_start
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
        return self._map(_minus_error, X)

    def _row_scores(self):
        """Return function(model, batch) of what `score_samples` gives."""
        return _minus_error

    def _objective(self, missing):
        return Reconstruction()

    def _loss(self, objective, begun, model, n_rows):
        return objective, 0.0

    def _said_of_loss(self, objective, beta):
        return {}

    @staticmethod
    def _information(model, batch, center):
        """Return how much outputs change if a component is its mean, (B, K)."""
        z = model.posterior_mean(batch)
        outputs = model.decoder(z)
        moved = []
        for k in range(z.shape[1]):
            without = z.clone()
            without[:, k] = center[k]
            moved.append((model.decoder(without) - outputs).square().mean(-1))
        return torch.stack(moved, dim=1)

    def _said_of_components(self, information, training):
        return {"importance_per_component_": information.numpy()}


def _minus_error(model, batch):
    return -model.squared_error(batch)
