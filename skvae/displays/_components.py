"""How many components a model needs: what each carries and what they explain."""

import warnings

import numpy as np
from sklearn.base import clone

from skvae.displays._checks import check_axes, check_count
from skvae.displays._classes import COLORS, GRAY
from skvae.inspection import cumulative_r2

N_FOLDS = 3
"""Folds in which models of several numbers of components are scored."""


class ComponentsDisplay:
    """How many components a model needs: the counterpart of a scree plot.

    Up to three panels: what each component carries, components that carry no more than
    noise in gray; how much of the variance the first k components explain together, of
    the rows given and of held-out rows; and the score of held-out rows under models of
    several numbers of components. Error bars of scores are standard errors of the
    difference from the best in the same folds; the least number within its own is as
    good as the best.

    Parameters
    ----------
    r2 : ndarray of shape (n_components,)
        R2 with the first k components.
    r2_test : ndarray of shape (n_components,), default=None
        The same of held-out rows.
    carried : ndarray of shape (n_components,), default=None
        What each component carries.
    n_active : int, default=None
        Number of components that carry more than noise; None where it is not known.
    unit : str, default="KL divergence (nats)"
        What `carried` is.
    scores : dict of int to array-like of shape (n_folds,), default=None
        Number of components → held-out scores of models with so many.

    Attributes
    ----------
    axes_, figure_ : ndarray of matplotlib Axes, and Figure
        The axes drawn on and their figure.
    bars_ : matplotlib BarContainer or None
        What each component carries.
    lines_ : dict of str to matplotlib Line2D
        `"r2"`, and `"r2_test"` and `"scores"` where these are known.

    See Also
    --------
    skvae.inspection.cumulative_r2 : The numbers of the second panel.
    LoadingsDisplay : What drives a component.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skvae import ComponentsDisplay, VAETransformer
    >>> X = load_iris().data
    >>> vae = VAETransformer(3, max_iter=20, tol=None, random_state=0).fit(X[::2])
    >>> display = ComponentsDisplay.from_estimator(vae, X[::2], X[1::2])
    >>> sorted(display.lines_)
    ['r2', 'r2_test']
    """

    def __init__(
        self,
        r2,
        *,
        r2_test=None,
        carried=None,
        n_active=None,
        unit="KL divergence (nats)",
        scores=None,
    ):
        self.r2 = r2
        self.r2_test = r2_test
        self.carried = carried
        self.n_active = n_active
        self.unit = unit
        self.scores = scores

    @classmethod
    def from_estimator(
        cls, estimator, X, X_test=None, *, n_components=None, cv=None, ax=None, **kwargs
    ):
        """Measure what components explain, and draw it.

        Parameters
        ----------
        estimator : VAETransformer or AutoencoderTransformer
            A fitted estimator.
        X : {array-like, sparse matrix} of shape (n_samples, n_features)
            The rows it was fitted to.
        X_test : {array-like, sparse matrix} of shape (n_test, n_features), default=None
            Rows that were held out.
        n_components : sequence of int, default=None
            Numbers of components to compare by the score of held-out rows of `X`: a
            clone of the estimator is fitted for each number and each fold, which takes
            time. None: they are not compared.
        cv : int, cross-validation generator or iterable, default=None
            Folds, as `cross_val_score` takes them. None: three, of shuffled rows.
        ax : matplotlib Axes or array of one to three Axes, default=None
            Where to draw; a new figure by default.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : ComponentsDisplay
            The display, drawn.
        """
        r2 = cumulative_r2(estimator, X)
        known = {} if X_test is None else {"r2_test": cumulative_r2(estimator, X_test)}
        if n_components is not None:
            known["scores"] = _scores(estimator, X, _numbers(n_components), cv)
        if hasattr(estimator, "importance_per_component_"):
            known["carried"] = estimator.importance_per_component_
            known["unit"] = "change of outputs without it"
        else:
            known["carried"] = estimator.kl_per_component_
            known["n_active"] = estimator.n_active_components_
        return cls(r2, **known).plot(ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw what components carry and explain.

        Parameters
        ----------
        ax : matplotlib Axes or array of one to three Axes, default=None
            Where to draw: what each carries, if that is known; what they explain; and
            scores, if there are some. A new figure by default.
        **kwargs : dict
            Passed to `matplotlib.axes.Axes.plot` for every curve.

        Returns
        -------
        display : ComponentsDisplay
            This display.
        """
        panels = [self._draw_r2]
        if self.carried is not None:
            panels.insert(0, self._draw_carried)
        if self.scores is not None:
            panels.append(self._draw_scores)
        n = len(panels)
        self.axes_ = check_axes(ax, n, figsize=(4.0 * n, 3.4))
        self.figure_ = self.axes_[0].figure
        self.bars_, self.lines_ = None, {}
        for axes, draw in zip(self.axes_, panels, strict=True):
            draw(axes, kwargs)
        return self

    def _draw_carried(self, ax, kwargs):
        carried = np.asarray(self.carried)
        colors = np.full(len(carried), COLORS[0], dtype=object)
        if self.n_active is not None:
            idle = np.argsort(-carried, kind="stable")[self.n_active :]
            colors[idle] = GRAY
        self.bars_ = ax.bar(np.arange(len(carried)), carried, color=list(colors))
        ax.set(xlabel="component", ylabel=self.unit)
        _number(ax)
        if self.n_active is not None:
            ax.set_title(f"{self.n_active} of {len(carried)} carry more than noise")

    def _draw_r2(self, ax, kwargs):
        curves = {"r2": (self.r2, COLORS[0], "rows given")}
        if self.r2_test is not None:
            curves["r2_test"] = self.r2_test, COLORS[2], "held-out rows"
        for name, (curve, color, label) in curves.items():
            style = {"color": color, "label": label, "marker": "o", "markersize": 3.5}
            places = 1 + np.arange(len(curve))
            (self.lines_[name],) = ax.plot(places, curve, **style | kwargs)
        lowest = min(np.min(curve) for curve, *_ in curves.values())
        ax.set(xlabel="first k components", ylabel="variance explained (R2)")
        ax.set_ylim(min(0.0, 1.05 * lowest), 1.02)
        ax.grid(axis="y", color="#e0e0e0", linewidth=0.8)
        _number(ax)
        if len(curves) > 1:
            ax.legend(frameon=False, loc="best")

    def _draw_scores(self, ax, kwargs):
        numbers = sorted(self.scores)
        scores = np.array([np.asarray(self.scores[k], dtype=float) for k in numbers])
        mean, n_folds = scores.mean(axis=1), scores.shape[1]
        best = int(mean.argmax())
        # Folds differ more than models do: what counts is by how much these differ.
        apart = scores - scores[best]
        ddof = min(1, n_folds - 1)
        error = apart.std(axis=1, ddof=ddof) / np.sqrt(n_folds)
        least = int(np.flatnonzero(mean + error >= mean[best])[0])
        style = {"color": COLORS[2], "marker": "o", "markersize": 3.5, "capsize": 2.0}
        drawn = ax.errorbar(numbers, mean, error, **style | kwargs)
        self.lines_["scores"] = drawn.lines[0]
        for place in {least, best}:
            ax.plot(numbers[place], mean[place], "o", color=COLORS[2], markersize=8.0)
        ax.set(xlabel="number of components", ylabel="score of held-out rows")
        said = f"best: {numbers[best]}"
        if least != best:
            said = f"{numbers[least]} as good as {numbers[best]}, the best"
        ax.set_title(said)
        _number(ax)


def _number(ax):
    """Mark whole numbers only on the horizontal axis."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def _numbers(n_components):
    """Return numbers of components to compare as a list."""
    numbers = np.ravel(np.asarray(n_components, dtype=object)).tolist()
    if not numbers:
        raise ValueError(
            "n_components must hold at least one number. Got none. Give numbers of "
            "components to compare, or None to compare none."
        )
    for k in numbers:
        check_count("Each of n_components", k)
    return numbers


def _scores(estimator, X, numbers, cv):
    """Return the held-out scores of each number of components in each fold."""
    from sklearn.model_selection import KFold, cross_val_score

    cv = KFold(N_FOLDS, shuffle=True, random_state=0) if cv is None else cv
    models = {k: clone(estimator).set_params(n_components=k) for k in numbers}
    options = {"cv": cv, "error_score": "raise"}
    with warnings.catch_warnings():
        # Too many components are there on purpose.
        warnings.filterwarnings("ignore", ".*components carry nothing")
        return {k: cross_val_score(m, X, **options) for k, m in models.items()}
