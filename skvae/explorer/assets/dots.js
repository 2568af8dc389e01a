// Rows as round dots, blended into the pixels of a canvas: no GPU is needed.

const OPACITY = 0.85;
const DIMMED = 0.13;

// Pixels of which a dot covers less are left out: they take time, and are hardly seen.
const LEAST_COVERED = 0.2;

// Pixels of a dot around its center, and how much of each it covers, out of 256.
function maskOf(radius, opacity, width) {
  const [reach, offsets, alphas] = [Math.ceil(radius), [], []];
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const covered = Math.min(1, Math.max(0, radius + 0.5 - Math.hypot(dx, dy)));
      if (covered < LEAST_COVERED) continue;
      offsets.push(dy * width + dx);
      alphas.push(Math.round(256 * opacity * covered));
    }
  }
  return { reach, offsets: Int32Array.from(offsets), alphas: Int32Array.from(alphas) };
}

// Blends a color into pixels, red and blue at a time, then green.
function stamp(pixels, at, color, mask) {
  const { offsets, alphas } = mask;
  const redBlue = color & 0xff00ff;
  const green = color & 0x00ff00;
  for (let i = 0; i < offsets.length; i++) {
    const place = at + offsets[i];
    const alpha = alphas[i];
    const rest = 256 - alpha;
    const below = pixels[place];
    const mixed = Math.imul(below & 0xff00ff, rest) + Math.imul(redBlue, alpha);
    const mixedGreen = Math.imul(below & 0x00ff00, rest) + Math.imul(green, alpha);
    pixels[place] = 0xff000000 | ((mixed >>> 8) & 0xff00ff) | ((mixedGreen >>> 8) & 0x00ff00);
  }
}

export class Dots {
  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    this.resize(1, 1);
  }

  resize(width, height) {
    [this.canvas.width, this.canvas.height] = [width, height];
    this.image = this.context.createImageData(width, height);
    this.pixels = new Int32Array(this.image.data.buffer);
  }

  // Draws rows at x and y (in data units) in an order; `selected` may be null.
  draw({ x, y, pixels: colors, order, shown, selected }, view, radius, background) {
    const { width, height } = this.canvas;
    this.pixels.fill(background);
    const full = maskOf(radius, OPACITY, width);
    const dim = maskOf(radius, DIMMED, width);
    const [inner, right, bottom] = [full.reach, width - full.reach, height - full.reach];
    for (const isFull of selected ? [false, true] : [true]) {
      const mask = isFull ? full : dim;
      for (let i = 0; i < order.length; i++) {
        const row = order[i];
        if (!shown[row] || (selected && Boolean(selected[row]) !== isFull)) continue;
        const px = (width / 2 + (x[row] - view.x) * view.sx) | 0;
        const py = (height / 2 - (y[row] - view.y) * view.sy) | 0;
        if (px < inner || py < inner || px >= right || py >= bottom) continue;
        stamp(this.pixels, py * width + px, colors[row], mask);
      }
    }
    this.context.putImageData(this.image, 0, 0);
  }
}
