"""Curves of the loss during training."""

from itertools import cycle

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skvae.displays._checks import check_axes
from skvae.displays._classes import COLORS

_STYLES = {
    "loss": {"color": COLORS[0], "label": "training rows"},
    "validation": {"color": COLORS[2], "label": "held-out rows"},
    "reconstruction": {
        "color": COLORS[0],
        "linestyle": "--",
        "label": "reconstruction alone",
    },
}


class LossCurveDisplay:
    """The loss and its terms during training.

    The first panel holds the mean loss per training row, its term `"reconstruction"`
    and the loss of held-out rows, whose first point is the state before training. They
    are computed alike: of all observed cells, and with the same weights of the terms.
    The other terms, of other scales, have a panel of their own, and so have the weights
    of the terms where one of them changes.

    Parameters
    ----------
    loss_curve : sequence of float
        Loss after each epoch.
    validation_curve : sequence of float, default=None
        Loss of held-out rows before training and after each epoch.
    term_curves : mapping of str to sequence of float, default=None
        Terms of the loss by name, after each epoch, before they are weighted.
    term_weights : mapping of str to sequence of float, default=None
        Weights of the terms by name, after each epoch.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        The axes of the loss and its figure.
    axes_ : ndarray of matplotlib Axes
        All axes drawn on.
    lines_ : dict of str to matplotlib Line2D
        The curves drawn: `"loss"`, `"validation"` where rows were held out, and the
        terms by name.
    weight_lines_ : dict of str to matplotlib Line2D
        The weights drawn, by name: those that change.

    See Also
    --------
    ReconstructionDisplay : Rows of data beside their reconstructions.

    Examples
    --------
    >>> from skvae.displays import LossCurveDisplay
    >>> display = LossCurveDisplay([3.0, 2.0], term_curves={"kl": [0.5, 0.7]}).plot()
    >>> sorted(display.lines_)
    ['kl', 'loss']
    """

    def __init__(
        self,
        loss_curve,
        *,
        validation_curve=None,
        term_curves=None,
        term_weights=None,
    ):
        self.loss_curve = loss_curve
        self.validation_curve = validation_curve
        self.term_curves = term_curves
        self.term_weights = term_weights

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, **kwargs):
        """Draw the curves that fitting recorded.

        Parameters
        ----------
        estimator : estimator instance
            A fitted estimator that has `loss_curve_`.
        ax : matplotlib Axes or array of one to three Axes, default=None
            Where to draw; a new figure by default.
        **kwargs : dict
            Passed to :meth:`plot`.

        Returns
        -------
        display : LossCurveDisplay
            The display, drawn.
        """
        check_is_fitted(estimator)
        if not hasattr(estimator, "loss_curve_"):
            raise TypeError(
                "The estimator must have the attribute 'loss_curve_'. Got "
                f"{type(estimator).__name__}, which has none. Give a fitted "
                "VAETransformer or AutoencoderTransformer; of a pipeline, that step."
            )
        others = ("validation_curve", "term_curves", "term_weights")
        curves = {name: getattr(estimator, f"{name}_", None) for name in others}
        return cls(estimator.loss_curve_, **curves).plot(ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or array of one to three Axes, default=None
            Where to draw: the loss, then its terms other than the reconstruction, then
            the weights that change. Fewer axes take the first of these. A new figure by
            default.
        **kwargs : dict
            Passed to `matplotlib.axes.Axes.plot` for every curve.

        Returns
        -------
        display : LossCurveDisplay
            This display.
        """
        terms = self.term_curves or {}
        curves = {**terms, "loss": self.loss_curve, "validation": self.validation_curve}
        others = [name for name in terms if name not in _STYLES]
        weights = self._changing_weights()
        allowed = range(1, 2 + bool(others) + bool(weights))
        self.axes_ = check_axes(ax, *allowed, figsize=(4.5 * max(allowed), 3.4))
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        self.lines_ = {}
        apart = {
            name: {"color": color, "label": name}
            for name, color in zip(others, cycle(COLORS[4:]), strict=False)
        }
        panels = {"loss": _STYLES} | ({"unweighted term": apart} if apart else {})
        for axes, (what, styles) in zip(self.axes_, panels.items(), strict=False):
            for name, style in styles.items():
                self._draw(axes, name, curves.get(name), style | kwargs)
            axes.set(xlabel="epoch", ylabel=f"{what} per row (nats)")
            axes.legend(frameon=False)
        self.weight_lines_ = {}
        if weights and len(self.axes_) == max(allowed):
            self._draw_weights(self.axes_[-1], weights, kwargs)
        return self

    def _changing_weights(self):
        """Return the weights that change, by name."""
        weights = self.term_weights or {}
        return {name: curve for name, curve in weights.items() if np.ptp(curve) > 0}

    def _draw_weights(self, axes, weights, kwargs):
        for name, curve in weights.items():
            line = self.lines_.get(name)
            color = {} if line is None else {"color": line.get_color()}
            style = {"label": name} | color | kwargs
            epochs = np.arange(1, 1 + len(curve))
            (self.weight_lines_[name],) = axes.plot(epochs, curve, **style)
        # Controllers multiply weights; schedules may start at zero.
        lowest = min(map(min, weights.values()))
        scale = "log" if lowest > 0 else "linear"
        axes.set(xlabel="epoch", ylabel="weight of the term", yscale=scale)
        axes.legend(frameon=False)

    def _draw(self, axes, name, curve, style):
        if curve is None:
            return
        # Only the held-out loss is known before the first epoch.
        first = 0 if name == "validation" else 1
        epochs = np.arange(first, first + len(curve))
        (self.lines_[name],) = axes.plot(epochs, curve, **style)
