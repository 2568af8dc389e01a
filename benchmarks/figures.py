"""Figures of the pages."""

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

GROUPS = {"looked at": "tab:blue", "set aside": "tab:orange"}
MARKERS = {"2 components": "o", "8 components": "s", "16 components": "^"}


def _dots(ax, values, order, group_of):
    """Draw a dot per case in the row of its data set; a marker per number."""
    for (name, split, _), value in values.items():
        style = {"color": GROUPS[group_of(name)], "marker": MARKERS[split]}
        ax.plot(value, order[name], **style, markersize=4, alpha=0.7)
    ax.axvline(0, color="0.5", linewidth=1)
    ax.grid(axis="x", alpha=0.3)


def _maps(ax, results, order):
    """Draw the trustworthiness of maps by PCA, the VAE and UMAP."""
    methods = {"PCA": "0.6", "VAETransformer": "tab:green", "UMAP": "tab:red"}
    means = results.table("trustworthiness", methods)
    for method, color in methods.items():
        known = means[method].dropna()
        rows = [order[name] for name in known.index]
        ax.plot(known, rows, "o", color=color, markersize=5, label=method)
    ax.set_xlabel("trustworthiness, 2 components")
    ax.grid(alpha=0.3)


def _marks():
    """Return the legend of colors and markers."""
    colors = [{"marker": "o", "color": c, "label": g} for g, c in GROUPS.items()]
    shapes = [{"marker": m, "color": "k", "label": k} for k, m in MARKERS.items()]
    return [Line2D([], [], linestyle="", **style) for style in colors + shapes]


def draw_quality(results, path, group_of):
    """Draw gains over PCA, and how well maps keep neighbors."""
    names = list(dict.fromkeys(results.rows["data"]))
    order = {name: -i for i, name in enumerate(names)}
    size = (12, 1.6 + 0.24 * len(names))
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    gain, columns = results.pair(("gain", "VAETransformer"), ("n_columns", "PCA"))
    _dots(axes[0], gain / columns, order, group_of)
    axes[0].set_xscale("symlog", linthresh=0.1)
    axes[0].set_xlabel("gain in log-likelihood, nats per column")
    vae, pca = results.pair(("r2", "VAETransformer"), ("r2", "PCA"))
    _dots(axes[1], vae - pca, order, group_of)
    axes[1].set_xlabel("R2 above PCA's")
    _maps(axes[2], results, order)
    axes[0].set_yticks(list(order.values()), names)
    handles = _marks() + axes[2].get_legend_handles_labels()[0]
    figure.legend(handles=handles, loc="outside upper center", ncols=len(handles))
    figure.savefig(path, dpi=100)


def _bars(ax, values, title):
    """Draw a bar per package, the best on top; negative numbers are rates."""
    values = values.dropna().sort_values(ascending=False)
    own = {"skvae": "tab:orange", "matrix products alone": "0.6"}
    colors = [own.get(name, "tab:blue") for name in values.index]
    ax.barh(list(values.index), values.abs(), color=colors)
    ax.set_xlabel(title)
    ax.grid(axis="x", alpha=0.3)


def _growth(ax, series):
    """Draw seconds over size, a line per series."""
    for name, values in series.items():
        ax.loglog(values.index, values, "o-", label=name)
    # Lines rise to the right: the lower edge is given room for the names.
    ax.set_ylim(bottom=ax.get_ylim()[0] / 8)
    ax.legend(loc="lower right", ncols=2, fontsize="small")
    ax.set_xlabel("size")
    ax.set_ylabel("skvae: seconds per epoch")
    ax.grid(alpha=0.3)


def draw_speed(panels, series, path):
    """Draw a panel of bars per title, and how the time of an epoch grows."""
    figure = Figure(figsize=(13, 9), layout="constrained")
    axes = figure.subplots(3, 3)
    for ax, (title, values) in zip(axes.flat, panels.items(), strict=False):
        _bars(ax, values, title)
    _growth(axes[2, 2], series)
    figure.savefig(path, dpi=100)
