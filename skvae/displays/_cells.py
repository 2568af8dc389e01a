"""Rows of data drawn as the cells of a grid: each an image, or a line."""

import numpy as np

LEAST_FRACTION = 0.2
"""Fraction of the range of all values that the median feature must vary over, if all
are drawn on one scale."""

SMALL = 16
"""Pixels of a side up to which images are drawn so large that a wide gap shows."""


def check_image_shape(image_shape, n_features):
    """Raise unless `image_shape` is None or holds exactly `n_features` values."""
    if image_shape is None:
        return
    shape = tuple(image_shape)
    if len(shape) < 2 or shape[2:] not in ((), (3,)):
        raise ValueError(
            "image_shape must be (height, width), or (height, width, 3) for colors. "
            f"Got {image_shape!r}."
        )
    if np.prod(shape) != n_features:
        product = " * ".join(map(str, shape))
        raise ValueError(
            f"image_shape must hold as many values as X has features ({n_features}). "
            f"Got {image_shape!r}, which holds {product} = {np.prod(shape)}. Give "
            "the shape of one row as an image, or None to draw lines."
        )


def draw_images(ax, cells, image_shape, **kwargs):
    """Draw `cells` (rows, columns, features) as one image, row 0 at the bottom.

    One unit of either axis is one cell, whatever the number of pixels.
    """
    n_rows, n_columns = cells.shape[:2]
    height, width, *colors = image_shape
    images = cells[::-1].reshape(n_rows, n_columns, height, width, *colors)
    mosaic = np.swapaxes(images, 1, 2)
    mosaic = mosaic.reshape(n_rows * height, n_columns * width, *colors)
    if colors:
        # Colors are in [0, 1] or bytes; decoded values may exceed either range.
        mosaic = np.clip(mosaic / (255 if np.nanmax(mosaic) > 2 else 1), 0, 1)
    # Lines separate images whose drawing reaches the edge.
    gap = 2.5 if min(height, width) <= SMALL else 0.7
    gaps = {"colors": "white", "linewidths": gap}
    ax.hlines(np.arange(1, n_rows), 0, n_columns, **gaps)
    ax.vlines(np.arange(1, n_columns), 0, n_rows, **gaps)
    style = {"cmap": "gray", "extent": (0, n_columns, 0, n_rows)}
    return ax.imshow(mosaic, **style | {"aspect": height / width} | kwargs)


def line_limits(cells, line_scale):
    """Return the values at the bottom and at the top of a cell; NaN is left out.

    One range of all values hides features that vary over a small part of it.
    """
    if line_scale not in ("auto", "shared", "feature"):
        raise ValueError(
            f"line_scale must be 'auto', 'shared' or 'feature'. Got {line_scale!r}."
        )
    low, high = np.fmin.reduce(cells, axis=(0, 1)), np.fmax.reduce(cells, axis=(0, 1))
    lowest, highest = np.fmin.reduce(low), np.fmax.reduce(high)
    ranges = (high - low)[high > low]
    is_hidden = len(ranges) and np.median(ranges) < LEAST_FRACTION * (highest - lowest)
    if line_scale == "feature" or (line_scale == "auto" and is_hidden):
        return low, high
    return lowest, highest


def draw_lines(ax, cells, limits, **kwargs):
    """Draw `cells` (rows, columns, features) as lines, row 0 at the bottom."""
    from matplotlib.collections import LineCollection

    # A single value has no extent along the features: draw it as a level.
    cells = np.repeat(cells, 2, axis=2) if cells.shape[2] == 1 else cells
    n_rows, n_columns, n_features = cells.shape
    low, high = limits
    # A constant has no range: any divisor but zero leaves it at the bottom.
    heights = (cells - low) / np.where(high > low, high - low, 1.0)
    x = np.arange(n_columns)[:, None] + np.linspace(0.1, 0.9, n_features)
    y = np.arange(n_rows)[:, None, None] + 0.1 + 0.8 * heights
    points = np.stack([np.broadcast_to(x, y.shape), y], axis=-1)
    style = {"colors": "black", "linewidths": 1.0}
    lines = LineCollection(points.reshape(-1, n_features, 2), **style | kwargs)
    ax.add_collection(lines)
    ax.set(xlim=(0, n_columns), ylim=(0, n_rows))
    return lines
