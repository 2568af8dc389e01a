"""The course of training."""

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skvae.displays._checks import check_axes

_STYLES = {
    "loss": {"color": "#3f90da"},
    "validation": {"color": "#bd1f01"},
    "reconstruction": {"color": "#3f90da", "linestyle": "--"},
    "kl": {"color": "#832db6"},
}


class LossCurveDisplay:
    """How the loss and its parts went during training.

    The first panel holds the mean loss per training row, its reconstruction part
    and the loss of held-out rows, whose first point is the state before training.
    The Kullback-Leibler divergence, of another scale, has a panel apart.

    Parameters
    ----------
    loss_curve : sequence of float
        Loss after each epoch.
    validation_curve : sequence of float, default=None
        Loss of held-out rows before training and after each epoch.
    reconstruction_curve : sequence of float, default=None
        Reconstruction part of the loss after each epoch.
    kl_curve : sequence of float, default=None
        Kullback-Leibler divergence after each epoch.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        The axes of the loss and its figure.
    axes_ : ndarray of matplotlib Axes
        All axes drawn on.
    lines_ : dict of str to matplotlib Line2D
        The curves drawn: "loss" and, where present, "validation",
        "reconstruction" and "kl".

    See Also
    --------
    ReconstructionDisplay : What the loss means, in pictures.

    Examples
    --------
    >>> from skvae.displays import LossCurveDisplay
    >>> display = LossCurveDisplay([3.0, 2.0], kl_curve=[0.5, 0.7]).plot()
    >>> sorted(display.lines_)
    ['kl', 'loss']
    """

    def __init__(
        self,
        loss_curve,
        *,
        validation_curve=None,
        reconstruction_curve=None,
        kl_curve=None,
    ):
        self.loss_curve = loss_curve
        self.validation_curve = validation_curve
        self.reconstruction_curve = reconstruction_curve
        self.kl_curve = kl_curve

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
        parts = ("validation_curve", "reconstruction_curve", "kl_curve")
        curves = {part: getattr(estimator, f"{part}_", None) for part in parts}
        return cls(estimator.loss_curve_, **curves).plot(ax, **kwargs)

    def plot(self, ax=None, **kwargs):
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes or array of one or two Axes, default=None
            Where to draw: the loss, then the Kullback-Leibler divergence. A single
            axes takes the loss alone. A new figure by default.
        **kwargs : dict
            Passed to `matplotlib.axes.Axes.plot` for every curve.

        Returns
        -------
        display : LossCurveDisplay
            This display.
        """
        allowed = (1,) if self.kl_curve is None else (1, 2)
        width = 4.5 * max(allowed)
        self.axes_ = check_axes(ax, *allowed, figsize=(width, 3.4))
        self.ax_ = self.axes_[0]
        self.figure_ = self.ax_.figure
        self.lines_ = {}
        curves = {
            "loss": (self.loss_curve, "training rows"),
            "validation": (self.validation_curve, "held-out rows"),
            "reconstruction": (self.reconstruction_curve, "reconstruction alone"),
        }
        for name, (curve, label) in curves.items():
            self._draw(self.ax_, name, curve, {"label": label} | kwargs)
        self.ax_.set(xlabel="epoch", ylabel="loss per row (nats)")
        self.ax_.legend(frameon=False)
        if len(self.axes_) == 2:
            self._draw(self.axes_[1], "kl", self.kl_curve, kwargs)
            self.axes_[1].set(xlabel="epoch", ylabel="KL divergence per row (nats)")
        return self

    def _draw(self, ax, name, curve, kwargs):
        if curve is None:
            return
        # Only the held-out loss is known before the first epoch.
        first = 0 if name == "validation" else 1
        epochs = np.arange(first, first + len(curve))
        (self.lines_[name],) = ax.plot(epochs, curve, **_STYLES[name] | kwargs)
