"""The variational autoencoder."""

import warnings
from functools import partial
from numbers import Integral, Real

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skvae._random import Stream, generator, normal_sequence, seed_from
from skvae._sklearn import Interval, StrOptions
from skvae.estimators._apply import decode, own_modes
from skvae.estimators._base import AUTO, COUNT, LatentTransformer
from skvae.estimators._clusters import ClusterMethods
from skvae.estimators._conditional import draw_given
from skvae.estimators._explain import ExplainMethods
from skvae.estimators._gaps import Gaps
from skvae.estimators._given import read_given
from skvae.estimators._impute import STATISTICS, impute_often, impute_once, plan_of
from skvae.estimators._recipe import resolve_loss, resolve_objective
from skvae.estimators._sampler import check_sampler, fit_sampler
from skvae.estimators._score import SCORE_DRAWS, score_rows, score_together
from skvae.estimators._unsuited import warn_of_map
from skvae.likelihoods import BY_KIND, Gaussian
from skvae.objectives import BOUNDS, OBJECTIVES, Objective, Shape
from skvae.priors import PRIORS, SAMPLERS, Prior, as_prior
from skvae.schedules import Schedule, Weight
from skvae.table import as_cells

LEAST_DIFFERENT = 0.5
"""Fraction of the draws of z given some cells that should differ."""

IDLE = 0.3
"""A component is idle if it carries less than this fraction of what the largest does,
and no more than noise would."""


class VAETransformer(ClusterMethods, ExplainMethods, LatentTransformer):
    r"""Variational autoencoder: a nonlinear, generative counterpart of PCA.

    A row x is encoded as a distribution :math:`q(z \mid x) = \mathcal{N}(\mu(x),
    \sigma^2(x))` over K latent components and decoded as a distribution
    :math:`p(x \mid z)` over its columns. The evidence lower bound [1]_, equation 10,

    .. math:: \mathbb{E}_q[\log p(x \mid z)] - \beta \,
        \mathrm{KL}(q(z \mid x) \,\|\, \mathcal{N}(0, I)),

    with :math:`\beta = 1` is at most :math:`\log p(x)`. Fitting maximizes it, by
    default mixed with the reconstruction at the posterior mean; see `objective`.

    Raw data go in: scaling happens inside, and reconstructions, samples and
    log-densities come out in the units of `X`.

    Parameters
    ----------
    n_components : int or "auto", default=2
        Number of latent components, K. May exceed the number of columns. `"auto"` is
        for rows and densities rather than maps: of several numbers up to 32, and fewer
        than the columns, the one whose linear start has the least held-out loss, but if
        rows of `fit` have missing cells at least half the number of the columns. The
        "auto" of other parameters then trades no density for reconstructions, takes
        numbers as `likelihood` says, and where cells are missing is for imputation.
    likelihood : str, Likelihood, dict or list, default="auto"
        What a column is: `"auto"` goes by its type, `"gaussian"` for numbers (in maps
        with `scaling="auto"`, see :class:`~skvae.likelihoods.Gaussian`; where
        `n_components="auto"`, `"normal_scores"` or, if no column has few decimal places
        and the held-out loss starts lower, `Gaussian(noise="decoder")`) and dates,
        `"bernoulli"` for booleans, `"categorical"` for text and categories, and
        `"ordinal"` for ordered categories.
        A name or object of :mod:`skvae.likelihoods` applies to all columns; a dict of
        column to likelihood, or a list of (likelihood, columns), to those that it
        names.
    prior : {"normal", "mixture", "vamp", "flow"} or Prior, default="normal"
        Distribution of z before a row is seen, see :mod:`skvae.priors`: standard
        normal, or learned with the model: clusters that rows belong to
        (:class:`~skvae.priors.Mixture`), the posteriors of pseudo-inputs
        (:class:`~skvae.priors.VampPrior`), or a normalizing flow
        (:class:`~skvae.priors.Flow`). With clusters there are `predict` and
        `predict_proba`.
    sampler : {"auto", "prior", "mixture", "posterior"} or Prior, default="auto"
        Distribution of z in `sample`, `score_samples` and `impute`, fitted to the
        posteriors of the training rows after training, since these together seldom are
        the prior. `"mixture"`: :class:`~skvae.priors.Mixture`. `"posterior"`: the
        posteriors of up to 10,000 training rows themselves, which the fitted model then
        contains; see :class:`~skvae.priors.AggregatePosterior`. `"auto"`: a mixture if
        held-out rows are more likely to have their z from it, or the prior has no
        density, else the prior.
    objective : str or Objective, default="auto"
        The loss, see :mod:`skvae.objectives`: the evidence lower bound
        (:class:`~skvae.objectives.ELBO`, whose default trades some density for better
        reconstructions); the same with a term that keeps neighbors together
        (:class:`~skvae.objectives.Neighbors`), for maps; or the tighter
        importance-weighted bound (:class:`~skvae.objectives.IWAE`), which costs more
        time and is better for imputation. These are `"elbo"`, `"neighbors"` and
        `"iwae"`; others, which shape the latent space, are `"free_bits"`, `"mmd"`,
        `"total_correlation"`, `"nested_dropout"`, `"denoising"` and, with the prior
        :class:`~skvae.priors.NoPrior`, `"rae"`. `"auto"`: `"neighbors"` with at most 3
        components, a normal posterior, and hidden layers in the encoder; `IWAE(8)` with
        `n_components="auto"` if rows of `fit` have missing cells; else `"elbo"`.
    beta : "auto", float, Schedule or Weight, default="auto"
        Weight of the KL term [2]_; see :mod:`skvae.schedules` for weights that change
        while training, such as :class:`~skvae.schedules.ControlVAE`, which holds the
        KL term at a target. `"auto"`: 1 - `mean_fraction` with
        :class:`~skvae.objectives.ELBO` and what is around it, else 1. If the linear
        start is weak (its largest eigenvalue is at most twice its noise), beta rises
        from 0 to that value over the first half of the fit, so that the KL term does
        not switch components off.
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
        `"pca"` adds a linear path to encoder and decoder and starts it at the
        closed-form solution, probabilistic PCA [3]_; the hidden layers learn what it
        cannot express. `"random"` has no linear path: the classic autoencoder.
        With :class:`~skvae.objectives.Neighbors` the start at PCA is a candidate, and
        training goes on from an encoder a tenth as large, so that the map can unfold.
    solver : {"adam", "rmsprop", "sgd"}, default="adam"
        Optimizer. `"rmsprop"` decays with 0.9; `"sgd"` has momentum 0.9.
    learning_rate : "auto", float or Schedule, default="auto"
        A number is the largest learning rate of
        :class:`~skvae.schedules.OneCycle`: a rise during the first 30 % of `max_iter`
        epochs, then a fall to nearly zero. A schedule gives the learning rate itself.
        `"auto"`: `OneCycle(value=0.002)`, with neighbors and at most 256 columns
        `OneCycle(value=0.004)`, for imputation `OneCycle(value=0.006)`.
    batch_size : "auto" or int, default="auto"
        Rows per step. `"auto"`: 128, for imputation 256, or all rows if there are
        fewer.
    max_iter : "auto" or int, default="auto"
        Largest number of epochs. `"auto"`: as many as take 4,000 steps, with neighbors
        2,500; at least 10 and at most 300, or 1,000 where `n_components="auto"`. For
        imputation 2,000 steps and at most 150 epochs.
    max_time : float or None, default=None
        Time for epochs, in seconds: the fit ends with the epoch in which it is over.
        :func:`skvae.resume` counts what was used before. None: no limit.
    tol : float or None, default=0.01
        Smallest decrease of the loss, in nats per row, that counts as an improvement.
        None trains for `max_iter` epochs in any case.
    early_stopping : bool, default=True
        Hold out rows, stop when their loss no longer improves, and return the state
        with the least loss. With `init="pca"`, if no state beats the linear start, that
        start is fitted to all rows and returned. With a Gaussian likelihood, a standard
        normal prior and complete rows, unless `beta` ends above 1 or is a controller,
        or the objective is not a bound alone, a state beats the start only if it also
        reconstructs held-out rows no worse and gives them a greater density, by more
        than twice what the start is expected to gain from being fitted to all rows.
        With :class:`~skvae.objectives.Neighbors` it must explain at least as much of
        their variance, less `max_r2_loss`. Without early stopping, or with fewer than
        10 distinct rows, training stops by the training loss, and the model of the last
        epoch is returned.
    validation_fraction : "auto" or float, default="auto"
        Fraction of the distinct rows to hold out, in (0, 1). `"auto"`: 200 rows, but
        at least 0.1 and at most 0.2 of them. The choice depends on the rows alone: they
        are sorted by distance from the center (more than 10,000 rows: by hash) and held
        out at even intervals.
    n_iter_no_change : "auto" or int, default="auto"
        Epochs without improvement after which training stops, but not before a state
        has beaten a start at probabilistic PCA. `"auto"`: a fifth of `max_iter`,
        with neighbors 0.3 of it; at least 10.
    handle_unknown : {"error", "missing"}, default="error"
        Whether a category that was not seen in `fit` is an error or a missing cell.
    hidden_fraction : "auto" or float, default="auto"
        Largest fraction of the observed cells, in [0, 1], that is hidden while
        training. Each row, at each step, hides its own fraction, drawn uniformly from
        [0, `hidden_fraction`], so that the encoder learns to read rows with any cells
        missing. `"auto"`: 1 if rows of `fit` have missing cells, for imputation 0.5,
        otherwise 0.
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
    kl_per_component_ : ndarray of shape (n_components,) or None
        Mean over training rows of KL(q || p) of each component, in nats, descending:
        the information that the component carries about a row. None where the prior
        has no divergence per component; they are then ordered by how much the posterior
        mean varies. Columns of categorical variables come last; those of each sum to
        the divergence of the variable.
    n_active_components_ : int or None
        Number of components whose KL exceeds what pure noise of this shape would give,
        or 0.3 of the largest where that does; for columns of a categorical variable
        their sum. `fit` warns about the rest. None where `kl_per_component_` is.
    explained_variance_ratio_ : ndarray of shape (n_components,)
        How much R2 rises with each component, as in PCA of standardized columns:
        increments of what :func:`skvae.inspection.cumulative_r2` gives for training
        rows, taken as if at random: 20,000 / K of them for K components, but at least
        200 and at most 10,000. With a nonlinear decoder they need not descend, and can
        be negative. Their sum is R2 with all components.
    n_iter_ : int
        Number of epochs run.
    loss_curve_ : list of float
        Mean loss per training row after each epoch, in nats: the sum of the objective's
        terms, with the weights that they have at the end of the fit, or at that epoch
        if a controller sets them. Where training
        hides cells, it is computed without hidden cells, for as many training rows as
        are held out.
    term_curves_ : dict of str to list of float
        The terms by name, before weighting: with the bound, `"reconstruction"`, -log
        p(x given z), and `"kl"`.
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
    sampler_ : Prior
        Outcome of `sampler`: the distribution that z is drawn from.
    objective_ : Objective
        Outcome of `objective`, with numbers for its own "auto".
    beta_ : Schedule or Weight
        Outcome of `beta`.
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
    AutoencoderTransformer : The plain autoencoder, without a distribution over z.
    sklearn.decomposition.PCA : The linear counterpart.

    Notes
    -----
    Fitting is random through `random_state` only, and depends neither on the order of
    rows nor on whether a row is repeated or weighted. The model after an epoch has the
    average of the parameters over the steps so far, in which late steps weigh most
    [4]_; this removes the noise of single steps. `transform`, `inverse_transform` and
    `posterior` are deterministic. `score_samples` is a Monte Carlo estimate whose draws
    are fixed by the fit, the same for every row. With float64 input a row's answer does
    not depend on the rows beside it; with float32 input it may, by rounding.

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
        "n_components": [AUTO, COUNT],
        "prior": [StrOptions(set(PRIORS)), Prior],
        "sampler": [StrOptions({"auto", "prior", *SAMPLERS}), Prior],
        "objective": [StrOptions({"auto", *OBJECTIVES}), Objective],
        "beta": [AUTO, Interval(Real, 0, None, closed="left"), Schedule, Weight],
    }

    def __init__(
        self,
        n_components=2,
        *,
        likelihood="auto",
        prior="normal",
        sampler="auto",
        objective="auto",
        beta="auto",
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
        self.prior = prior
        self.sampler = sampler
        self.objective = objective
        self.beta = beta
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

        def mean_and_std(model, batch):
            outputs = model.encode(batch)
            mean = model.to_user(model.posterior.mean(outputs))
            std = model.posterior.std(outputs)[..., model.order]
            return torch.stack((mean, std), dim=1)

        both = self._map(mean_and_std, X)
        return both[:, 0], both[:, 1]

    def sample(
        self,
        n_samples=None,
        random_state=None,
        *,
        kind="draw",
        given=None,
        missing=None,
    ):
        """Generate rows: draw z from the sampler and decode it.

        With `given`, z is drawn from its distribution given these cells, by annealed
        particles [1]_, and the free cells are decoded.

        Parameters
        ----------
        n_samples : int, default=None
            Number of rows, or with `given`, of rows for each row of it. None is 1.
        random_state : int, RandomState instance or None, default=None
            Seed of the draws. With None every call gives other rows.
        kind : {"draw", "mean"}, default="draw"
            `"draw"` draws each row from p(x given z), noise included; `"mean"`
            returns the expectation of p(x given z).
        given : dict, DataFrame or array-like, default=None
            Cells that the rows shall have: a dict of column to value, or rows in which
            free cells are missing; a DataFrame may leave columns out. Columns are named
            as in `fit`, or by position.
        missing : {"as_in_fit"}, default=None
            `"as_in_fit"`: cells are missing together as often as in the rows of `fit`,
            whatever their values; given cells stay. None: no cell is missing.

        Returns
        -------
        X : ndarray or DataFrame of shape (n_samples, n_features)
            Rows in the units of the training data; a DataFrame with the columns and
            types of the one that `fit` was given, if it was one. The rows for one row
            of `given` follow each other.

        Raises
        ------
        ValueError
            If a parameter is invalid, or `given` has columns or values unlike those of
            `fit`.

        Warns
        -----
        UserWarning
            If few draws of z differ, since the given cells are too improbable.
        UnsuitedSettingsWarning
            Once, if the fit is a map of at least ten columns.

        References
        ----------
        .. [1] Del Moral, Doucet & Jasra (2006). Sequential Monte Carlo samplers.
           Journal of the Royal Statistical Society B 68(3).
           https://doi.org/10.1111/j.1467-9868.2006.00553.x

        Examples
        --------
        >>> from sklearn.datasets import load_iris
        >>> from skvae import VAETransformer
        >>> X = load_iris(as_frame=True).frame
        >>> X["target"] = X["target"].astype("category")
        >>> vae = VAETransformer(max_iter=20, tol=None, random_state=0).fit(X)
        >>> vae.sample(2, random_state=0, given={"target": 2})["target"].tolist()
        [2, 2]
        """
        check_is_fitted(self)
        if kind == "draw":
            warn_of_map(self)
        return self._sample(n_samples, random_state, kind, given, missing)

    @own_modes(inference=True)
    def _sample(
        self, n_samples, random_state=None, kind="draw", given=None, missing=None
    ):
        """Return what `sample` does, whatever the fit suits."""
        n_samples = 1 if n_samples is None else n_samples
        _check_count("n_samples", n_samples)
        if kind not in ("draw", "mean"):
            raise ValueError(f"kind must be 'draw' or 'mean'. Got {kind!r}.")
        if missing not in (None, "as_in_fit"):
            raise ValueError(f"missing must be None or 'as_in_fit'. Got {missing!r}.")
        seed, device = seed_from(random_state), self.module_.device
        streams = Stream.LATENT, Stream.OBSERVATION, Stream.MISSING
        latent, noise = (generator(seed, s, device=device) for s in streams[:2])
        if given is None:
            z, cells = self.module_.fitted_prior.draw(n_samples, latent), np.nan
        else:
            cells = read_given(given, self._known)
            z = self._draw_given(cells, n_samples, latent)
            cells = np.repeat(cells, n_samples, axis=0)
        draw = {
            "mean": lambda p, outputs: p.mean(outputs),
            "draw": lambda p, outputs: p.draw(outputs, noise),
        }
        z = self.module_.to_user(z).double().cpu().numpy()
        values = decode(self.module_, z, draw[kind])
        rows = self._as_in_fit(np.where(np.isnan(cells), values, cells))
        if missing is None or self._gaps is None:
            return rows
        gaps = self._gaps.draw(len(values), generator(seed, streams[2]))
        return self._known.layout.blank(rows, gaps & np.isnan(cells))

    def _draw_given(self, rows, n_samples, random):
        """Return draws of z given cells, (n * n_samples, K), row by row."""
        if not self.module_.posterior.is_random:
            raise ValueError(
                "sample(given=...) requires a prior whose posterior is random. Got "
                f"prior={self.prior!r}. Use another prior, or leave given out."
            )
        z, n_different = draw_given(self.module_, as_cells(rows), n_samples, random)
        fewest = int(n_different.min())
        if fewest < LEAST_DIFFERENT * n_samples:
            row = int(n_different.argmin())
            warnings.warn(
                f"Of {n_samples} draws of z, only {fewest} differ, given row {row}: "
                "its cells are very improbable together. Give fewer cells, or more "
                "usual ones.",
                stacklevel=5,
            )
        return z.transpose(0, 1).flatten(0, 1)

    def score_samples(self, X, *, bound="importance", n_draws="auto"):
        """Return an estimate of log p(x) of each row, in nats.

        It estimates the log-density in the units of the rows and so can be compared
        with `PCA.score_samples`. The evidence lower bound is at most the
        importance-weighted bound, for every row. The latter rises, in expectation, to
        log p(x) with the number of draws.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
        bound : {"importance", "elbo"}, default="importance"
            The importance-weighted bound [1]_, or the evidence lower bound.
        n_draws : "auto" or int, default="auto"
            Number of draws per row, the first of a scrambled Sobol sequence [2]_ that
            is the same for every row and every call, and balanced best at powers of
            two. `"auto"`: 16, doubled up to 128 until the standard error of the row's
            importance-weighted bound, as its weights tell, is at most 0.1 nats.

        Returns
        -------
        log_prob : ndarray of shape (n_samples,)

        Raises
        ------
        ValueError
            If a parameter or `X` is invalid.

        References
        ----------
        .. [1] Burda, Grosse & Salakhutdinov (2016). Importance weighted autoencoders.
           ICLR. https://arxiv.org/abs/1509.00519
        .. [2] Owen (1998). Scrambling Sobol' and Niederreiter-Xing points. Journal of
           Complexity 14(4).
        """
        if bound not in BOUNDS:
            raise ValueError(f"bound must be one of {sorted(BOUNDS)}. Got {bound!r}.")
        _check_count("n_draws", n_draws, "auto")
        return self._score_cells(self._read(X), bound, n_draws)

    def _score_cells(self, cells, bound, n_draws):
        plan = SCORE_DRAWS.of(n_draws)
        noise = self._fixed_noise(plan.most)
        return score_rows(self.module_, cells, noise, plan, bound)

    def _row_scores(self):
        """Return function(model, batch) of what `score_samples` gives by default."""
        return partial(score_together, noise=self._fixed_noise(SCORE_DRAWS.most).cpu())

    def impute(self, X, *, statistic="mean", n_draws=None, n_proposals="auto"):
        """Fill missing cells, given the observed cells of the same row.

        Importance weights correct the encoder's posterior, which therefore need not be
        exact [1]_. Rows need not have been seen in `fit`, and observed cells are left
        unchanged.

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
        n_proposals : "auto" or int, default="auto"
            Number of draws of z per row, the first of a sequence that is the same for
            every row. `"auto"`: 64, doubled up to 1,024 until their importance weights
            are worth 16 equal ones; 64, for medians; or the larger of 64 and `n_draws`.

        Returns
        -------
        X : ndarray or DataFrame, or a list of these
            What was passed, with its types, in which only missing cells are new: a
            DataFrame for a DataFrame, otherwise an array; an array of objects becomes
            one of floats if that changes no cell. With `n_draws`, a list of `n_draws`
            DataFrames, or an array of shape (n_draws, n_samples, n_features).

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
        cells = self._read_dense(X)
        if statistic not in STATISTICS:
            raise ValueError(
                f"statistic must be one of {sorted(STATISTICS)}. Got {statistic!r}."
            )
        _check_count("n_proposals", n_proposals, "auto")
        if n_draws is None:
            return self._impute_cells(cells, X, statistic, n_proposals)
        _check_count("n_draws", n_draws)
        plan, rows = plan_of(n_proposals, n_draws=n_draws), cells[:]
        noise, seed = self._fixed_noise(plan.most), self._seed
        drawn = impute_often(self.module_, rows, noise, plan, n_draws, seed)
        fill, missing = self._known.layout.fill, np.isnan(rows)
        tables = [fill(X, filled, missing) for filled in drawn]
        return np.stack(tables) if isinstance(tables[0], np.ndarray) else tables

    def _impute_cells(self, cells, X, statistic, n_proposals):
        """Return cells, read from X, with one value in place of each missing one."""
        plan, coded = plan_of(n_proposals, statistic), self._known.layout.coded
        rows = cells[:]
        noise = self._fixed_noise(plan.most)
        filled = impute_once(self.module_, rows, noise, plan, statistic, coded)
        return self._known.layout.fill(X, filled, np.isnan(rows))

    def _fixed_noise(self, n_draws):
        """Return normal draws (n_draws, 1, K), the same for every row and call."""
        noise = normal_sequence(n_draws, self.n_components_, self._seed)
        return noise[:, None].to(self.module_.device)

    def _check_latent(self):
        super()._check_latent()
        check_sampler(self.sampler, self._prior)

    @property
    def _prior(self):
        return as_prior(self.prior)

    @property
    def _likelihood_by_kind(self):
        if self.n_components == "auto":
            return with_numbers("normal_scores")
        if self._objective(missing=False).neighborhood is None:
            return BY_KIND
        return with_numbers(Gaussian(scaling="auto"))

    @property
    def _other_likelihoods(self):
        if self.n_components != "auto":
            return ()
        return (with_numbers(Gaussian(noise="decoder")),)

    def _objective(self, missing):
        return resolve_objective(self.get_params(deep=False), missing)

    def _loss(self, objective, begun, model, n_rows):
        likelihood, is_linear = model.likelihood, model.decoder.is_linear
        n_columns = likelihood.n_features - likelihood.n_constant
        shape = Shape(n_rows, n_columns, model.n_components)
        return resolve_loss(objective, self.beta, begun, is_linear, shape)

    def _said_of_loss(self, objective, beta):
        return {"objective_": objective, "beta_": beta}

    def _said_of_sampler(self, training, rows, fitted):
        model, prior = training.model, fitted["_architecture"].prior
        split = training.train, training.held_out
        spec, model.sampler = fit_sampler(
            self.sampler, prior, model, *split, fitted["_seed"]
        )
        used = None if model.sampler is None else spec
        architecture = fitted["_architecture"]._replace(sampler=used)
        gaps = Gaps.of(rows) if rows.has_missing else None
        return {"sampler_": spec, "_architecture": architecture, "_gaps": gaps}

    @staticmethod
    def _information(model, batch, center):
        outputs = model.encode(batch)
        kl = model.prior.kl_per_component(model.posterior, outputs)
        return (model.posterior.mean(outputs) - center).square() if kl is None else kl

    def _said_of_components(self, information, training):
        model = training.model
        nothing = model.encoder.path.bias[None]
        carried = model.posterior.whole(information)
        if model.prior.kl_per_component(model.posterior, nothing) is None:
            return {"kl_per_component_": None, "n_active_components_": None}
        n_rows, n_columns = len(training.train), training.train.n_columns
        # The largest eigenvalue of pure noise is about (1 + sqrt(D / n))^2 (Marchenko &
        # Pastur 1967); probabilistic PCA takes half its logarithm for information.
        noise = np.log1p(np.sqrt(n_columns / n_rows))
        return {
            "kl_per_component_": information.numpy(),
            "n_active_components_": int((carried > _least(carried, noise)).sum()),
        }

    def _warn_of_idle_components(self):
        n_active = self.n_active_components_
        n_idle = 0 if n_active is None else self.n_components_ - n_active
        if n_idle and self.n_components != "auto":
            warnings.warn(
                f"{n_idle} of {self.n_components_} components carry nothing: no more "
                "than noise of this size would show (see kl_per_component_). If there "
                "is nothing more to find, lower n_components. If there should be, fit "
                "longer (max_iter), lower beta, or warm it up with beta=WarmUp().",
                stacklevel=4,
            )


def _least(carried, noise):
    """Return what a component carries at least, if it is not to count as idle.

    That is what noise would carry, but where one carries more than that, a component is
    idle only beside it.
    """
    largest = carried.max()
    return min(noise, IDLE * largest) if largest > noise else noise


def with_numbers(likelihood):
    """Return what "auto" is for each kind of column, with this one for numbers."""
    return {k: likelihood if v == "gaussian" else v for k, v in BY_KIND.items()}


def _check_count(name, value, *others):
    """Raise ValueError unless the value is a positive integer, or one of others."""
    is_count = isinstance(value, Integral) and value >= 1
    if not is_count and not (isinstance(value, str) and value in others):
        allowed = " or ".join(("a positive integer", *map(repr, others)))
        raise ValueError(f"{name} must be {allowed}. Got {value!r}.")
