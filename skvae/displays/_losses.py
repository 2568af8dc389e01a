"""Curves of the loss during training."""

from itertools import cycle

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skvae.displays._checks import check_axes
from skvae.displays._latent import COLORS

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
    The other terms, of other scales, have a panel of their own.

    Parameters
    ----------
    loss_curve : sequence of float
        Loss after each epoch.
    validation_curve : sequence of float, default=None
        Loss of held-out rows before training and after each epoch.
    term_curves : mapping of str to sequence of float, default=None
        Terms of the loss by name, after each epoch, before they are weighted.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        The axes of the loss and its figure.
    axes_ : ndarray of matplotlib Axes
        All axes drawn on.
    lines_ : dict of str to matplotlib Line2D
        The curves drawn: `"loss"`, `"validation"` where rows were held out, and the
        terms by name.

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

    def __init__(self, loss_curve, *, validation_curve=None, term_curves=None):
        self.loss_curve = loss_curve
        self.validation_curve = validation_curve
        self.term_curves = term_curves

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, **kwargs):
        """Draw the curves that fitting recorded.

        Parameters
        ----------
        estimator : estimator instance
            A fitted estimator that has `loss_curve_`.
        ax : matplotlib Axes or array of one or two Axes, default=None
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
        others = ("validation_curve", "term_curves")
        curves = {name: getattr(estimator, f"{name}_", None) for name in others}
        return cls(estimator.loss_curve_, **curves).plot(ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or array of one or two Axes, default=None
            Where to draw: the loss, then its terms other than the reconstruction. A
            single axes takes the loss alone. A new figure by default.
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
        allowed = (1, 2) if others else (1,)
        self.axes_ = check_axes(ax, *allowed, figsize=(4.5 * max(allowed), 3.4))
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        self.lines_ = {}
        apart = {
            name: {"color": color, "label": name}
            for name, color in zip(others, cycle(COLORS[4:]), strict=False)
        }
        panels = {"loss": _STYLES, "unweighted term": apart}
        for axes, (what, styles) in zip(self.axes_, panels.items(), strict=False):
            for name, style in styles.items():
                self._draw(axes, name, curves.get(name), style | kwargs)
            axes.set(xlabel="epoch", ylabel=f"{what} per row (nats)")
            axes.legend(frameon=False)
        return self

    def _draw(self, axes, name, curve, style):
        if curve is None:
            return
        # Only the held-out loss is known before the first epoch.
        first = 0 if name == "validation" else 1
        epochs = np.arange(first, first + len(curve))
        (self.lines_[name],) = axes.plot(epochs, curve, **style)
