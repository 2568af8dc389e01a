// The decoded point: its cells as a picture or as columns, beside real rows near it.

import { numberText } from "./cells.js";
import { element, swatch } from "./legend.js";
import { showUnusual } from "./unusual.js";

const FIRST_COLUMNS = 24;

// Draws cells as an image in a canvas of so many pixels.
export function drawImage(canvas, cells, shape, [low, high]) {
  const [height, width, channels = 1] = shape;
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext("2d");
  const image = context.createImageData(width, height);
  const run = high > low ? 255 / (high - low) : 0;
  for (let i = 0; i < height * width; i++) {
    for (let c = 0; c < 3; c++) {
      const value = cells[channels === 3 ? 3 * i + c : i];
      image.data[4 * i + c] = (value - low) * run;
    }
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

export class PointPanel {
  // `table` has columns, shape, limits, valuesOf(row), nameOf(row), unusual(row) and said(row).
  constructor(holder, table, onChoose) {
    Object.assign(this, { holder, table, onChoose, showsAll: false });
    this.nearest = holder.querySelector("#nearest");
    this.image = holder.querySelector("#image");
    this.rows = holder.querySelector("#cells tbody");
    this.more = holder.querySelector("#more");
    this.more.addEventListener("click", () => {
      this.showsAll = !this.showsAll;
      this.build();
      this.show(this.cells, this.near, this.chosen);
    });
    holder.querySelector("#cells").hidden = Boolean(table.shape);
    this.image.hidden = !table.shape;
    this.nearest.classList.toggle("images", Boolean(table.shape));
    this.build();
  }

  build() {
    const { columns, shape } = this.table;
    const n = shape ? 0 : this.showsAll ? columns.length : Math.min(columns.length, FIRST_COLUMNS);
    this.parts = columns.slice(0, n).map((column) => {
      const part = { column, dot: element("i", { className: "dot" }), tick: element("i", { className: "tick" }) };
      part.value = element("td", { className: "value" });
      part.real = element("td", { className: "value real" });
      const track = column.isCoded ? "" : element("div", { className: "track" }, part.tick, part.dot);
      const name = element("th", { scope: "row", textContent: column.name, title: column.name });
      part.row = element("tr", {}, name, element("td", { className: "range" }, track), part.value, part.real);
      return part;
    });
    this.rows.replaceChildren(...this.parts.map((part) => part.row));
    this.more.hidden = Boolean(shape) || columns.length <= FIRST_COLUMNS;
    this.more.textContent = this.showsAll ? "Show fewer columns" : `Show all ${columns.length} columns`;
  }

  // `near` lists rows, nearest first, and `chosen` is the one whose values are shown.
  show(cells, near, chosen) {
    Object.assign(this, { cells, near, chosen });
    const { shape, limits } = this.table;
    if (shape && cells) drawImage(this.image, cells, shape, limits);
    const real = chosen === undefined ? null : this.table.valuesOf(chosen);
    this.parts.forEach((part, j) => this.showCell(part, cells?.[j] ?? NaN, real ? real[j] : NaN));
    const title = real ? this.table.nameOf(chosen) : "";
    Object.assign(this.holder.querySelector("#real"), { textContent: title, title });
    this.showNearest(near, chosen);
  }

  showCell({ column, dot, tick, value, real }, cell, other) {
    value.textContent = column.text(cell);
    value.title = value.textContent;
    real.textContent = column.text(other);
    real.title = real.textContent;
    if (column.isCoded) return;
    [dot.hidden, tick.hidden] = [!Number.isFinite(cell), !Number.isFinite(other)];
    dot.style.left = `${100 * column.fraction(cell)}%`;
    tick.style.left = `${100 * column.fraction(other)}%`;
  }

  // Lets what is next shown be made anew, in other colors.
  forget() {
    this.key = null;
  }

  showNearest(near, chosen) {
    const { shape, limits } = this.table;
    const key = near.join() + chosen;
    if (key === this.key) return;
    this.key = key;
    const unusual = chosen === undefined ? null : this.table.unusual(chosen);
    showUnusual(this.holder.querySelector("#unusual"), unusual, unusual && this.table.nameOf(chosen));
    const buttons = near.map((row) => {
      const { color, titled } = this.table.said(row);
      const name = this.table.nameOf(row);
      const title = titled ? `${name}, ${titled}` : name;
      const button = element("button", { type: "button", title: `Go to ${title}`, ariaLabel: title });
      if (shape) {
        const picture = element("canvas", { ariaHidden: "true" });
        drawImage(picture, this.table.valuesOf(row), shape, limits);
        button.append(picture);
      }
      const first = element("span", { className: "cut", textContent: shape ? titled : name });
      button.append(element("span", { className: "tag" }, swatch(color), first));
      if (!shape && titled) button.append(element("span", { className: "cut", textContent: titled }));
      button.ariaPressed = String(row === chosen);
      button.addEventListener("click", () => this.onChoose(row));
      return button;
    });
    this.nearest.replaceChildren(...buttons);
    this.holder.querySelector("#near").hidden = !near.length;
  }
}

// One slider for each component that is no axis of the map.
export function showSliders(holder, components, z, ends, onChange) {
  const sliders = components.map(({ k, name }) => {
    const [low, high] = ends[k];
    const output = element("output", { textContent: numberText(z[k]) });
    const slider = element("input", { type: "range", min: low, max: high, step: (high - low) / 200 || 1 });
    slider.value = z[k];
    slider.addEventListener("input", () => {
      output.textContent = numberText(Number(slider.value));
      onChange(k, Number(slider.value));
    });
    slider.dataset.component = k;
    return element("label", {}, element("span", { textContent: name }), slider, output);
  });
  holder.replaceChildren(...sliders);
  holder.parentElement.hidden = !sliders.length;
}
