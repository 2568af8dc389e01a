"""The variational autoencoder."""

import warnings
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skvae import objectives
from skvae._apply import decode, map_rows
from skvae._base import LatentTransformer
from skvae._impute import STATISTICS, impute_often, impute_once
from skvae._random import Stream, generator, normal_sequence, seed_from
from skvae._recipe import resolve_weights
from skvae._sklearn import Interval, StrOptions
from skvae.networks import Perceptron
from skvae.priors import StandardNormal
from skvae.schedules import Schedule

N_DRAWS = 128
"""Default number of draws of the importance-weighted bound."""

N_PROPOSALS = 1024
"""Default number of draws of z from which imputations are weighted."""


class VAETransformer(LatentTransformer):
    r"""Variational autoencoder: a nonlinear, generative counterpart of PCA.

    A row x is encoded as a distribution :math:`q(z \mid x) = \mathcal{N}(\mu(x),
    \sigma^2(x))` over K latent components and decoded as a distribution
    :math:`p(x \mid z)` over its columns. Fitting maximizes the evidence lower bound
    [1]_, equation 10,

    .. math:: \mathbb{E}_q[\log p(x \mid z)] - \beta \,
        \mathrm{KL}(q(z \mid x) \,\|\, \mathcal{N}(0, I)).

    Raw data go in: scaling happens inside, and reconstructions, samples and
    log-densities come out in the units of `X`.

    Parameters
    ----------
    n_components : int, default=2
        Number of latent components, K. May exceed the number of columns.
    likelihood : {"gaussian", "bernoulli"} or Likelihood, default="gaussian"
        What a column is: `"gaussian"` for real values, with learned noise;
        `"bernoulli"` for values in [0, 1]. See :mod:`skvae.likelihoods`.
    objective : {"elbo", "iwae"} or IWAE, default="elbo"
        What fitting maximizes: the evidence lower bound, or the tighter
        importance-weighted bound :class:`~skvae.objectives.IWAE`, which costs more
        time and is better for imputation.
    beta : "auto", float or Schedule, default="auto"
        Weight of the KL term [2]_; a schedule lets it change while training.
        `"auto"`: 1 - `code_share`; but rising to that from 0 during the first half of
        the fit, `WarmUp(part=0.5)`, where the linear start is weak: its largest
        eigenvalue is at most twice its noise, and a full KL term would keep it there.
        With another `objective` than `"elbo"`, always 1; it must not be less then.
    code_share : "auto" or float, default="auto"
        Share s of the rows of a batch, in [0, 1), that are decoded at the mean of their
        posterior instead of at a draw. With `beta` = 1 - s the loss is (1 - s) times
        minus the evidence lower bound, plus s times the loss of
        :class:`AutoencoderTransformer`: reconstructions gain more than the density
        loses. `"auto"`: 0.4, or 0.1 where the linear start is weak; but 0, the
        textbook's loss, where `beta` is given, with an `objective` other than the
        bound, with a likelihood other than Gaussian, with missing cells, with
        `init="random"`, or without hidden layers.
    hidden_layer_sizes : "auto", int or array-like of int, default="auto"
        Sizes of the encoder's hidden layers; the decoder's are the same, reversed.
        `()` makes the model linear. `"auto"`: three layers of twice the number of
        columns, at least 128 and at most 256.
    activation : str, default="auto"
        Activation of the hidden layers: `"identity"`, `"logistic"`, `"tanh"`,
        `"relu"`, `"gelu"` or `"silu"`. `"auto"`: `"gelu"`.
    init : {"pca", "random"}, default="pca"
        `"pca"` adds a linear path to encoder and decoder and starts it at the
        closed-form solution, probabilistic PCA [3]_; the hidden layers learn what it
        leaves. `"random"` has no linear path: the classic autoencoder.
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
        start is fitted to all rows and returned. With a Gaussian likelihood, and unless
        `beta` ends above 1, a state beats the start only if it also reconstructs
        held-out rows no worse and gives them a greater density, by more than twice what
        the start is expected to gain from being fitted to all rows. Without early
        stopping, or with fewer than 10 distinct rows, the training loss is watched and
        the model of the last epoch returned.
    validation_fraction : "auto" or float, default="auto"
        Part of the distinct rows to hold out, in (0, 1). `"auto"`: 200 rows, but at
        least 0.1 and at most 0.2 of them. Which rows follows from the rows alone:
        every so many by distance from the center, or of their hashes where there are
        more than 10,000.
    n_iter_no_change : "auto" or int, default="auto"
        Epochs without improvement after which training stops, but not before a state
        has beaten a start at probabilistic PCA. `"auto"`: a fifth of `max_iter`, at
        least 10.
    average : bool, default=True
        Let the model of an epoch be an average of the weights so far, in which late
        ones weigh most [4]_, not the last weights: the noise of single steps is no
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
        Number of latent components.
    kl_per_component_ : ndarray of shape (n_components,)
        Mean over training rows of KL(q || p) of each component, in nats, descending:
        the information that the component carries about a row.
    n_active_components_ : int
        Number of components that carry more than noise of as many rows and columns
        would show. A fit warns where others are idle.
    n_iter_ : int
        Number of epochs run.
    loss_curve_ : list of float
        Mean training loss per row after each epoch, in nats.
    reconstruction_curve_, kl_curve_ : list of float
        Its two terms: -log p(x given z), and the KL term before weighting by `beta`.
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
    beta_, learning_rate_ : Schedule
        Outcomes of `beta` and `learning_rate`.
    learning_rate_init_, validation_fraction_ : float
        Outcomes of `learning_rate_init` and `validation_fraction`.
    code_share_, mask_fraction_ : float
        Outcomes of `code_share` and `mask_fraction`.
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
    AutoencoderTransformer : The plain autoencoder, without a distribution over z.
    sklearn.decomposition.PCA : The linear counterpart.

    Notes
    -----
    Fitting is random through `random_state` only, and depends neither on the order of
    rows nor on whether a row is repeated or weighted. `transform`,
    `inverse_transform` and `posterior` are deterministic. `score_samples` is a Monte
    Carlo estimate whose draws are fixed by the fit, the same for every row. With
    float64 input a row's answer does not depend on the rows beside it; with float32
    input it may, by rounding.

    References
    ----------
    .. [1] Kingma & Welling (2013). Auto-encoding variational Bayes.
       https://arxiv.org/abs/1312.6114
    .. [2] Higgins et al. (2017). beta-VAE: Learning basic visual concepts with a
       constrained variational framework. ICLR.
    .. [3] Tipping & Bishop (1999). Probabilistic principal component analysis. Journal
       of the Royal Statistical Society B 61(3). https://doi.org/10.1111/1467-9868.00196
    .. [4] Shamir & Zhang (2013). Stochastic gradient descent for non-smooth
       optimization: convergence results and optimal averaging schemes. ICML.
       https://arxiv.org/abs/1212.1824

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import VAETransformer
    >>> X = load_iris().data
    >>> vae = VAETransformer(n_components=2, max_iter=20, random_state=0).fit(X)
    >>> vae.transform(X).shape
    (150, 2)
    >>> vae.sample(3, random_state=0).shape
    (3, 4)
    """

    _parameter_constraints: dict = {
        **LatentTransformer._parameter_constraints,
        "objective": [StrOptions(set(objectives.OBJECTIVES)), objectives.IWAE],
        "beta": [
            StrOptions({"auto"}),
            Interval(Real, 0, None, closed="left"),
            Schedule,
        ],
        "code_share": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
    }

    _prior = StandardNormal()
    _information_name = "kl_per_component_"

    def __init__(
        self,
        n_components=2,
        *,
        likelihood="auto",
        objective="elbo",
        beta="auto",
        code_share="auto",
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
        self.objective = objective
        self.beta = beta
        self.code_share = code_share
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

    def posterior(self, X):
        """Return mean and standard deviation of the posterior of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        mean : ndarray of shape (n_samples, n_components)
            What `transform` returns.
        std : ndarray of shape (n_samples, n_components)
        """
        X = self._check_fitted_X(X)

        def mean_and_std(model, x):
            mean, log_var = model.encode(x)
            return torch.stack((mean, torch.exp(0.5 * log_var)), dim=1)

        both = map_rows(self.module_, mean_and_std, X)
        return both[:, 0], both[:, 1]

    def sample(self, n_samples=1, random_state=None, *, kind="draw"):
        """Generate rows: draw z from the prior and decode it.

        Parameters
        ----------
        n_samples : int, default=1
        random_state : int, RandomState instance or None, default=None
            Seed of the draws. None gives other rows at every call.
        kind : {"draw", "mean"}, default="draw"
            `"draw"` draws each row from p(x given z), noise included; `"mean"`
            returns the expectation of p(x given z).

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Rows in the units of the training data.
        """
        check_is_fitted(self)
        _check_count("n_samples", n_samples)
        if kind not in ("draw", "mean"):
            raise ValueError(f"kind must be 'draw' or 'mean'. Got {kind!r}.")
        seed = seed_from(random_state)
        device = self.module_.sign.device
        latent = generator(seed, Stream.LATENT, device=device)
        z = self.module_.prior.draw(n_samples, latent).cpu().numpy()
        noise = generator(seed, Stream.OBSERVATION, device=device)
        draw = {
            "mean": lambda p, outputs: p.mean(outputs),
            "draw": lambda p, outputs: p.draw(outputs, noise),
        }
        return self._as_in_fit(decode(self.module_, z, draw[kind]))

    def score_samples(self, X, *, bound="importance", n_draws=N_DRAWS):
        """Return an estimate of log p(x) of each row, in nats.

        It is the log-density of the rows in their own units and so can be set beside
        `PCA.score_samples`. The evidence lower bound is at most the
        importance-weighted bound, for every row, and in expectation that one rises
        with the number of draws to log p(x).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        bound : {"importance", "elbo"}, default="importance"
            The importance-weighted bound [1]_, or the evidence lower bound.
        n_draws : int, default=128
            Number of draws per row, the same for every row and every call: a scrambled
            Sobol sequence [2]_, which is balanced best at powers of two.

        Returns
        -------
        log_prob : ndarray of shape (n_samples,)

        References
        ----------
        .. [1] Burda, Grosse & Salakhutdinov (2016). Importance weighted autoencoders.
           ICLR. https://arxiv.org/abs/1509.00519
        .. [2] Owen (1998). Scrambling Sobol' and Niederreiter-Xing points. Journal of
           Complexity 14(4).
        """
        X = self._check_fitted_X(X)
        if bound not in objectives.BOUNDS:
            raise ValueError(
                f"bound must be one of {sorted(objectives.BOUNDS)}. Got {bound!r}."
            )
        _check_count("n_draws", n_draws)
        noise = self._fixed_noise(n_draws)

        def log_prob(model, x):
            return objectives.BOUNDS[bound](model, x, noise.to(x.dtype))

        n_rows = max(1, 2**14 // n_draws)
        return map_rows(self.module_, log_prob, X, n_rows)

    def impute(self, X, *, statistic="mean", n_draws=None, n_proposals=N_PROPOSALS):
        """Fill missing cells by what the observed cells of the same row say.

        Importance weights correct the encoder's posterior, and so the answer does not
        depend on its being exact [1]_. Rows need not have been seen in `fit`, and
        observed cells are left as they are.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        statistic : {"mean", "median", "mode"}, default="mean"
            What to fill in: the conditional mean, the conditional median of each
            cell, or the mode at the most likely z of those proposed. Categories get
            the most likely one, levels the median, whatever the statistic.
        n_draws : int, default=None
            Number of imputations, each one draw of all missing cells of a row given
            its observed cells (sampling importance resampling [2]_). None gives one
            imputation, by `statistic`.
        n_proposals : int, default=1024
            Number of draws of z per row, the same for every row.

        Returns
        -------
        X : ndarray or DataFrame, or a list of these
            Of shape (n_samples, n_features), in the units of `X`; a DataFrame with
            the columns and types of the one that `fit` was given, if it was one. With
            `n_draws`, an array of shape (n_draws, n_samples, n_features), or a list of
            `n_draws` DataFrames.

        Notes
        -----
        Deterministic: draws follow from the seed of the fit and from the observed cells
        of a row. Equal rows therefore get equal imputations.

        References
        ----------
        .. [1] Mattei & Frellsen (2019). MIWAE: Deep generative modelling and imputation
           of incomplete data sets. ICML. https://arxiv.org/abs/1812.02633
        .. [2] Rubin (1987). The calculation of posterior distributions by data
           augmentation: Comment. Journal of the American Statistical Association
           82(398).

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_iris
        >>> from skvae import VAETransformer
        >>> X = load_iris().data
        >>> X[::3, 2] = np.nan
        >>> vae = VAETransformer(max_iter=20, tol=None, random_state=0).fit(X)
        >>> filled = vae.impute(X)
        >>> bool(np.isnan(filled).any())
        False
        >>> vae.impute(X, n_draws=5).shape
        (5, 150, 4)
        """
        rows = self._check_dense_X(X)
        if statistic not in STATISTICS:
            raise ValueError(
                f"statistic must be one of {sorted(STATISTICS)}. Got {statistic!r}."
            )
        _check_count("n_proposals", n_proposals)
        noise = self._fixed_noise(n_proposals)
        if n_draws is None:
            coded = self._known.layout.coded
            filled = impute_once(self.module_, rows, noise, statistic, coded)
            return self._as_in_fit(filled, like=X)
        _check_count("n_draws", n_draws)
        drawn = impute_often(self.module_, rows, noise, n_draws, self._seed)
        tables = [self._as_in_fit(filled, like=X) for filled in drawn]
        return tables if self._known.layout.library else np.stack(tables)

    def _fixed_noise(self, n_draws):
        """Return normal draws (n_draws, 1, K), the same for every row and call."""
        noise = normal_sequence(n_draws, self.n_components_, self._seed)
        return noise[:, None].to(self.module_.sign.device)

    @property
    def _objective(self):
        return objectives.as_objective(self.objective)

    def _weights_for(self, model, signal_to_noise):
        trades = (
            model.encoder.linear is not None
            and isinstance(model.encoder.perceptron, Perceptron)
            and model.likelihood.linear_start_is_exact
            and not model.masks
            and self._objective is objectives.elbo
        )
        if self._objective is not objectives.elbo:
            # Other bounds hardly limit the divergence, so that less weight rewards it.
            signal_to_noise = None
        beta, share = resolve_weights(
            self.beta, self.code_share, signal_to_noise, trades
        )
        objectives.check_beta(self._objective, beta)
        return beta, share

    @staticmethod
    def _information(model, x, center):
        mean, log_var = model.posterior(x)
        return model.prior.kl(mean, log_var)

    def _outcome(self, model, training):
        outcome = super()._outcome(model, training)
        outcome["kl_curve_"] = training.history.copy().kl
        n_rows, n_columns = len(training.train), training.train.n_columns
        # The largest eigenvalue of pure noise is about (1 + sqrt(D / n))^2 (Marchenko &
        # Pastur 1967); probabilistic PCA takes half its logarithm for information.
        noise = np.log1p(np.sqrt(n_columns / n_rows))
        carried = outcome["kl_per_component_"]
        outcome["beta_"] = training.plan.beta
        outcome["code_share_"] = training.plan.code_share
        outcome["n_active_components_"] = int((carried > noise).sum())
        return outcome

    def _warn_of_idle_components(self):
        n_idle = self.n_components_ - self.n_active_components_
        if n_idle:
            warnings.warn(
                f"{n_idle} of {self.n_components_} components carry nothing: no more "
                "than noise of this size would show (see kl_per_component_). If there "
                "is nothing more to find, lower n_components. If there should be, fit "
                "longer (max_iter), lower beta, or warm it up with beta=WarmUp().",
                stacklevel=4,
            )


def _check_count(name, value):
    """Raise ValueError unless the value is a positive integer."""
    if not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be a positive integer. Got {value!r}.")
