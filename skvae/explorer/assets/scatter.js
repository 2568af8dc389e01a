// The map: where rows are on the screen, what is drawn over them, and which lie where.

import { Dots } from "./dots.js";

const NEAR = 10;
const MARGIN = 0.08;
const CLOSEST = 1e6;

// Places for about `n` ticks between two numbers, at 1, 2 or 5 times a power of ten.
function ticks(from, to, n) {
  const rough = (to - from) / n;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((times) => times * power >= rough);
  const first = Math.ceil(from / step);
  const count = Math.max(0, Math.floor(to / step) - first + 1);
  return Array.from({ length: count }, (_, i) => Number(((first + i) * step).toPrecision(6)));
}

// Ends between which nearly all values lie; what lies far outside would make them a dot.
function usualEnds(values) {
  const sorted = Float64Array.from(values).sort();
  const at = (fraction) => sorted[Math.round(fraction * (sorted.length - 1))];
  const [low, high] = [at(0.002), at(0.998)];
  const run = Math.max(high - low, 1e-9);
  return [Math.max(at(0), low - 0.5 * run), Math.min(at(1), high + 0.5 * run)];
}

export class Scatter {
  constructor(dotsCanvas, overCanvas, rows) {
    this.dots = new Dots(dotsCanvas);
    this.over = overCanvas;
    this.context = overCanvas.getContext("2d");
    this.rows = rows; // {x, y, pixels, order, shown, selected, isEqual}
    this.names = ["", ""];
    this.marks = { point: null, rings: [], hovered: null, lasso: [] };
    this.view = { x: 0, y: 0, sx: 1, sy: 1 };
    this.isAsked = false;
    this.onDrawn = () => {};
    new ResizeObserver(() => this.resize()).observe(overCanvas);
  }

  resize() {
    const { clientWidth: width, clientHeight: height } = this.over;
    if (!width || !height) return;
    const isFirst = !this.width;
    [this.width, this.height] = [width, height];
    this.ratio = Math.min(2, devicePixelRatio || 1);
    const sizes = [width, height].map((size) => Math.round(size * this.ratio));
    this.dots.resize(...sizes);
    [this.over.width, this.over.height] = sizes;
    if (isFirst) this.fit();
    this.draw();
  }

  // Views

  fit() {
    const [left, right] = usualEnds(this.rows.x);
    const [bottom, top] = usualEnds(this.rows.y);
    const [runX, runY] = [Math.max(right - left, 1e-9), Math.max(top - bottom, 1e-9)];
    let sx = ((1 - 2 * MARGIN) * this.width) / runX;
    let sy = ((1 - 2 * MARGIN) * this.height) / runY;
    if (this.rows.isEqual) sx = sy = Math.min(sx, sy);
    this.view = { x: (left + right) / 2, y: (bottom + top) / 2, sx, sy };
    this.closest = this.view.sx;
    this.ask();
  }

  panBy(dx, dy) {
    this.view.x -= dx / this.view.sx;
    this.view.y += dy / this.view.sy;
    this.ask();
  }

  zoomAt(px, py, factor) {
    const sx = this.view.sx * factor;
    if (sx > this.closest * CLOSEST || sx < this.closest / 50) return;
    const [x, y] = this.toData(px, py);
    this.view.sx *= factor;
    this.view.sy *= factor;
    const [atX, atY] = this.toScreen(x, y);
    this.panBy(px - atX, py - atY);
  }

  toScreen(x, y) {
    const { view } = this;
    return [this.width / 2 + (x - view.x) * view.sx, this.height / 2 - (y - view.y) * view.sy];
  }

  toData(px, py) {
    const { view } = this;
    return [view.x + (px - this.width / 2) / view.sx, view.y - (py - this.height / 2) / view.sy];
  }

  // Rows

  // The row that is shown nearest to a place on the screen, or -1.
  pick(px, py) {
    const { x, y, shown } = this.rows;
    let [found, least] = [-1, NEAR * NEAR];
    const [atX, atY] = this.toData(px, py);
    for (let row = 0; row < x.length; row++) {
      const distance = ((x[row] - atX) * this.view.sx) ** 2 + ((y[row] - atY) * this.view.sy) ** 2;
      if (distance < least && shown[row]) [found, least] = [row, distance];
    }
    return found;
  }

  // Which shown rows lie inside a polygon on the screen, as a mask.
  inside(polygon) {
    const corners = polygon.map((place) => this.toData(...place));
    const { x, y, shown } = this.rows;
    return Uint8Array.from(x, (_, row) => (shown[row] && isInside(x[row], y[row], corners) ? 1 : 0));
  }

  // Drawing

  ask() {
    if (this.isAsked) return;
    this.isAsked = true;
    requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.isAsked = false;
    if (!this.width) return;
    const view = { ...this.view, sx: this.view.sx * this.ratio, sy: this.view.sy * this.ratio };
    this.dots.draw(this.rows, view, this.radius() * this.ratio, this.theme.background);
    this.drawOver();
    this.onDrawn();
  }

  radius() {
    const usual = Math.min(4.5, Math.max(1.1, 3.2 * Math.sqrt(3000 / this.rows.x.length)));
    return usual * Math.min(2.5, Math.max(0.8, (this.view.sx / this.closest) ** 0.3));
  }

  drawOver() {
    const { context: c, ratio, marks } = this;
    c.setTransform(ratio, 0, 0, ratio, 0, 0);
    c.clearRect(0, 0, this.width, this.height);
    this.drawTicks();
    for (const row of marks.rings) this.ring(row, 6, this.theme.ink, 1.5);
    if (marks.hovered !== null) this.ring(marks.hovered, 7, this.theme.accent, 2);
    this.drawLasso();
    if (marks.point) this.drawPoint(...this.toScreen(...marks.point));
  }

  ring(row, radius, color, width) {
    const { context: c } = this;
    c.beginPath();
    c.arc(...this.toScreen(this.rows.x[row], this.rows.y[row]), radius, 0, 2 * Math.PI);
    [c.strokeStyle, c.lineWidth] = [color, width];
    c.stroke();
  }

  drawPoint(px, py) {
    const { context: c } = this;
    for (const [color, width] of [[this.theme.paper, 5], [this.theme.accent, 2.25]]) {
      [c.strokeStyle, c.lineWidth] = [color, width];
      c.beginPath();
      c.arc(px, py, 9, 0, 2 * Math.PI);
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        c.moveTo(px + 5 * dx, py + 5 * dy);
        c.lineTo(px + 14 * dx, py + 14 * dy);
      }
      c.stroke();
    }
  }

  drawLasso() {
    const { context: c, marks: { lasso } } = this;
    if (lasso.length < 2) return;
    c.beginPath();
    for (const place of lasso) c.lineTo(...place);
    c.closePath();
    [c.fillStyle, c.strokeStyle, c.lineWidth] = [this.theme.veil, this.theme.accent, 1.5];
    c.fill();
    c.stroke();
  }

  drawTicks() {
    const { context: c } = this;
    const [left, top] = this.toData(0, 0);
    const [right, bottom] = this.toData(this.width, this.height);
    c.font = "11px system-ui, sans-serif";
    c.fillStyle = this.theme.muted;
    c.textAlign = "center";
    for (const x of ticks(left, right, this.width / 110)) {
      const [px] = this.toScreen(x, 0);
      if (px > 46 && px < this.width - 20) c.fillText(String(x).replace("-", "−"), px, this.height - 22);
    }
    c.textAlign = "left";
    for (const y of ticks(bottom, top, this.height / 90)) {
      const [, py] = this.toScreen(0, y);
      if (py > 24 && py < this.height - 40) c.fillText(String(y).replace("-", "−"), 26, py + 4);
    }
    this.drawNames();
  }

  drawNames() {
    const { context: c } = this;
    c.font = "600 12px system-ui, sans-serif";
    c.textAlign = "center";
    c.fillText(this.names[0], this.width / 2, this.height - 6);
    c.save();
    c.translate(15, this.height / 2);
    c.rotate(-Math.PI / 2);
    c.fillText(this.names[1], 0, 0);
    c.restore();
  }
}

function isInside(x, y, corners) {
  let is = false;
  for (let i = 0, j = corners.length - 1; i < corners.length; j = i++) {
    const [[xi, yi], [xj, yj]] = [corners[i], corners[j]];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) is = !is;
  }
  return is;
}
