// The page: data and controls, and what they do to each other.

import { Column, numbersOf, numberText, pointsOf } from "./cells.js";
import { classColor, colorOf, isDark, pixelOf, pixelsOf } from "./colors.js";
import { ofCategories, ofClasses, ofValues, orderOf, usualRange } from "./colors.js";
import { Decoder } from "./decoder.js";
import { Selection } from "./lasso.js";
import { element, showLegend, swatch } from "./legend.js";
import { drawImage, PointPanel, showSliders } from "./point.js";
import { Pointer } from "./pointer.js";
import { Scatter } from "./scatter.js";
import { unusualOf, unusualText } from "./unusual.js";
import { unpack } from "./unpack.js";

const N_NEAREST = 5;
const MOST_IN_TIP = 10;

const $ = (selector) => document.querySelector(selector);

// What is known of rows and columns, from the header and the arrays of the pack.
function tableOf(header, arrays) {
  const { n, rows, components, shape } = header;
  const table = { n, components, shape, z: pointsOf(rows.z, arrays) };
  table.columns = header.columns.map((column) => new Column(column, arrays));
  table.measures = rows.measures.map((said) => ({ name: said.name, values: numbersOf(said, arrays) }));
  table.travelling = arrays[header.travelling].data;
  table.places = new Int32Array(n).fill(-1);
  table.travelling.forEach((row, place) => (table.places[row] = place));
  table.valuesOf = (row) => {
    const place = table.places[row];
    return place < 0 ? null : table.columns.map((column) => column.at(place));
  };
  const unusual = unusualOf(header.unusual, arrays, table.columns);
  table.unusual = (row) => unusual(table.places[row]);
  table.names = header.names;
  table.nameOf = (row, word = "row") => nameOf(table, row, word);
  if (rows.labels) table.labels = labelsOf(rows.labels, arrays);
  table.limits = limitsOf(table);
  return table;
}

// A row is called as in the index of its table, if that travels, or else numbered.
function nameOf({ names, places }, row, word) {
  if (!names) return `${word} ${row}`;
  if (places[row] < 0) return `${word} at position ${row}`;
  const text = names.texts[places[row]];
  return /^[\d.-]+$/.test(text) ? `${word} ${text}` : text;
}

function labelsOf(said, arrays) {
  if (!said.names) {
    const values = numbersOf(said, arrays);
    const text = (row) => numberText(values[row]);
    return { name: said.name, text, plain: (row) => values[row], coloring: () => ofValues(said.name, values) };
  }
  const { data: codes } = arrays[said.codes];
  const text = (row) => said.names[codes[row]];
  return { name: said.name, text, plain: text, coloring: () => ofClasses(said.name, codes, said.names, said.colors) };
}

// The values that images show as black and white.
function limitsOf({ shape, columns }) {
  if (!shape) return [0, 1];
  const ends = columns.flatMap(({ from, to }) => [from ?? 0, to ?? 1]);
  const [low, high] = [Math.min(...ends), Math.max(...ends)];
  return shape[2] === 3 ? [0, high > 2 ? 255 : 1] : [low, high];
}

class Page {
  constructor(header, arrays) {
    this.table = tableOf(header, arrays);
    this.decoder = header.program && new Decoder(header.program, arrays);
    const { n, components } = this.table;
    this.axes = [0, Math.min(1, components.length - 1)];
    this.z = this.table.z.map((values) => Float64Array.from(values).sort()[n >> 1]);
    this.rows = { shown: new Uint8Array(n).fill(1), selected: null };
    this.hidden = new Set();
    this.tool = "move";
    this.scatter = new Scatter($("#dots"), $("#over"), this.rows);
    this.colorings = this.colorChoices();
    this.table.said = (row) => this.saidOf(row);
    this.setAxes();
    this.setTheme();
    this.panel = new PointPanel($("#point"), this.table, (row) => this.goTo(row));
    this.selection = new Selection($("#selection"), this.table, this);
    this.setUpControls(header);
    this.setColor(0);
    new Pointer(this.scatter, this);
  }

  // The color of a row, and its label, also with what the label is.
  saidOf(row) {
    const { labels } = this.table;
    const label = labels?.text(row) ?? "";
    return { color: colorOf(this.coloring, row), label, titled: label && `${labels.name} ${label}` };
  }

  // Controls

  colorChoices() {
    const { labels, measures, columns, travelling, n } = this.table;
    const choices = labels ? [{ name: labels.name, make: labels.coloring }] : [];
    for (const { name, values } of measures) choices.push({ name, make: () => ofValues(name, values) });
    const alike = () => ofClasses("rows", new Uint8Array(n), ["all rows"], [classColor(0)]);
    if (!labels) choices.unshift({ name: "rows", make: alike });
    for (const column of travelling.length ? columns : []) {
      choices.push({ name: column.name, isColumn: true, make: () => this.ofColumn(column) });
    }
    return choices;
  }

  ofColumn(column) {
    const values = Float64Array.from(this.table.places, (place) => (place < 0 ? NaN : column.at(place)));
    return column.isCoded ? ofCategories(column.name, values, column.categories) : ofValues(column.name, values);
  }

  setUpControls(header) {
    const groups = [["Rows", (c) => !c.isColumn], ["Columns", (c) => c.isColumn]].map(([label, is]) => {
      const chosen = this.colorings.map((c, value) => ({ c, value })).filter(({ c }) => is(c));
      const options = chosen.map(({ c, value }) => element("option", { value, textContent: c.name }));
      return element("optgroup", { label }, ...options);
    });
    $("#color").append(...groups.filter((group) => group.children.length));
    $("#color").addEventListener("change", (event) => this.setColor(Number(event.target.value)));
    this.setUpAxes();
    const center = () => [this.scatter.width / 2, this.scatter.height / 2];
    const clicks = {
      "#in": () => this.scatter.zoomAt(...center(), 1.4),
      "#out": () => this.scatter.zoomAt(...center(), 1 / 1.4),
      "#fit": () => this.scatter.fit(),
      "#move": () => this.setTool("move"),
      "#lasso": () => this.setTool("lasso"),
      "#inview": () => this.selectView(),
    };
    for (const [selector, act] of Object.entries(clicks)) $(selector).addEventListener("click", act);
    $("#notes").append(...header.notes.map((textContent) => element("li", { textContent })));
    if (!this.decoder) $("#reason").textContent = header.notes.at(-1);
    for (const part of document.querySelectorAll(".decodes")) part.hidden = !this.decoder;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
      this.setTheme();
      this.recolor();
    });
  }

  setUpAxes() {
    const { components } = this.table;
    $("#axes").hidden = components.length < 3;
    ["#xaxis", "#yaxis"].forEach((selector, i) => {
      const select = $(selector);
      select.append(...components.map((textContent, k) => element("option", { value: k, textContent })));
      select.value = this.axes[i];
      select.addEventListener("change", () => {
        const k = Number(select.value);
        if (this.axes[1 - i] === k) this.axes[1 - i] = this.axes[i];
        this.axes[i] = k;
        ["#xaxis", "#yaxis"].forEach((each, j) => ($(each).value = this.axes[j]));
        this.setAxes();
        this.scatter.fit();
        this.decodeHere();
      });
    });
  }

  setTool(tool) {
    this.tool = tool;
    for (const name of ["move", "lasso"]) $(`#${name}`).ariaPressed = String(name === tool);
    $("#over").dataset.tool = tool;
  }

  setTheme() {
    const style = getComputedStyle(document.documentElement);
    const names = ["ink", "muted", "accent", "paper", "veil"];
    const theme = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
    this.scatter.theme = { ...theme, background: pixelOf(isDark() ? [24, 26, 31] : [255, 255, 255]) };
  }

  // With one component, the other axis is a measure of rows.
  setAxes() {
    const { components, z, measures } = this.table;
    const [i, j] = this.axes;
    const isFlat = components.length === 1;
    Object.assign(this.rows, { x: z[i], y: isFlat ? measures[0].values : z[j], isEqual: !isFlat });
    this.scatter.names = [components[i], isFlat ? measures[0].name : components[j]];
    this.height = isFlat ? Float64Array.from(this.rows.y).sort()[this.table.n >> 1] : 0;
    this.showSliders();
  }

  showSliders() {
    const { components, z } = this.table;
    this.ends ??= z.map((values) => usualRange(values));
    const others = components.map((name, k) => ({ name, k })).filter(({ k }) => !this.axes.includes(k));
    showSliders($("#sliders"), others, this.z, this.ends, (k, value) => {
      this.z[k] = value;
      this.decodeHere();
    });
  }

  // Colors

  setColor(i) {
    this.coloring = this.colorings[i].make();
    this.hidden.clear();
    this.rows.order = orderOf(this.coloring, this.table.n);
    this.recolor();
  }

  recolor() {
    const { n } = this.table;
    this.rows.pixels = pixelsOf(this.coloring, n);
    this.showLegend();
    this.panel.forget();
    if (this.panel.near) this.decodeHere(this.panel.chosen);
  }

  showLegend() {
    const { codes } = this.coloring;
    for (let row = 0; row < this.table.n; row++) {
      this.rows.shown[row] = codes && this.hidden.has(codes[row]) ? 0 : 1;
    }
    showLegend($("#legend"), this.coloring, this.hidden, (code, isOnly) => this.toggle(code, isOnly));
    this.scatter.ask();
  }

  toggle(code, isOnly) {
    const { names } = this.coloring;
    if (isOnly) this.hidden = new Set([...names.keys()].filter((other) => other !== code));
    else if (!this.hidden.delete(code)) this.hidden.add(code);
    this.showLegend();
    $(`#legend li:nth-child(${1 + code}) button`)?.focus();
  }

  // The decoded point

  decode(x, y) {
    this.z[this.axes[0]] = x;
    if (this.table.components.length > 1) this.z[this.axes[1]] = y;
    else this.height = y;
    this.decodeHere();
  }

  decodeHere(chosen) {
    const isFlat = this.table.components.length === 1;
    this.scatter.marks.point = [this.z[this.axes[0]], isFlat ? this.height : this.z[this.axes[1]]];
    this.cells = this.decoder ? this.decoder.decode(this.z, 1) : null;
    const near = this.nearestRows();
    this.scatter.marks.rings = near;
    this.panel.show(this.cells, near, chosen ?? near[0]);
    const text = this.table.components.map((name, k) => `${name} ${numberText(this.z[k])}`).join(", ");
    $("#where").textContent = text;
    this.scatter.ask();
  }

  nearestRows() {
    const { z, travelling } = this.table;
    const best = [];
    for (const row of travelling) {
      if (!this.rows.shown[row]) continue;
      let distance = 0;
      for (let k = 0; k < z.length; k++) distance += (z[k][row] - this.z[k]) ** 2;
      if (best.length === N_NEAREST && distance >= best[N_NEAREST - 1].distance) continue;
      best.push({ row, distance });
      best.sort((a, b) => a.distance - b.distance);
      best.length = Math.min(best.length, N_NEAREST);
    }
    return best.map(({ row }) => row);
  }

  goTo(row) {
    this.z = this.table.z.map((values) => values[row]);
    this.height = this.rows.y[row];
    this.showSliders();
    this.decodeHere(row);
  }

  snap() {
    if (this.panel.near?.length) this.goTo(this.panel.near[0]);
  }

  // Rows under the pointer, and rows that are marked

  hover(row, px, py) {
    const { marks } = this.scatter;
    const tip = $("#tip");
    if (row === (marks.hovered ?? -1) && tip.hidden === row < 0) return;
    marks.hovered = row < 0 ? null : row;
    this.scatter.drawOver();
    tip.hidden = row < 0;
    if (row < 0) return;
    tip.replaceChildren(...this.tipOf(row));
    const [width, height] = [tip.offsetWidth, tip.offsetHeight];
    const left = px + 16 + width > this.scatter.width ? px - width - 16 : px + 16;
    const top = Math.min(Math.max(6, py - height / 2), this.scatter.height - height - 6);
    [tip.style.left, tip.style.top] = [`${Math.max(6, left)}px`, `${top}px`];
  }

  tipOf(row) {
    const { measures, columns, shape } = this.table;
    const { color, titled } = this.table.said(row);
    const name = this.table.nameOf(row, "Row");
    const parts = [element("strong", {}, swatch(color), titled ? `${name} · ${titled}` : name)];
    const real = this.table.valuesOf(row);
    const cells = real ?? this.decodedRow(row);
    const lines = measures.map(({ name, values }) => [name, numberText(values[row])]);
    if (cells && shape) {
      const picture = element("canvas");
      drawImage(picture, cells, shape, this.table.limits);
      parts.push(picture);
    } else if (cells) {
      columns.slice(0, MOST_IN_TIP).forEach((column, j) => lines.push([column.name, column.text(cells[j])]));
    }
    parts.push(element("dl", {}, ...lines.flatMap(([name, value]) =>
      [element("dt", { textContent: name }), element("dd", { textContent: value })])));
    const rest = columns.length - MOST_IN_TIP;
    const says = (textContent) => textContent && parts.push(element("em", { textContent }));
    if (!shape && cells && rest > 0) says(`and ${rest} more columns`);
    const most = unusualText(this.table.unusual(row));
    says(most && `most unusual: ${most}`);
    if (cells && !real) says("decoded: its values are not in this file");
    return parts;
  }

  decodedRow(row) {
    return this.decoder ? this.decoder.decode(this.table.z.map((values) => values[row]), 1) : null;
  }

  select(mask) {
    const rows = [];
    mask.forEach((is, row) => is && rows.push(row));
    this.rows.selected = rows.length ? mask : null;
    this.selection.show(rows);
    this.scatter.ask();
  }

  selectView() {
    const { width, height } = this.scatter;
    this.select(this.scatter.inside([[0, 0], [width, 0], [width, height], [0, height]]));
  }

  clear() {
    this.select([]);
  }
}

const { header, arrays } = await unpack($("#data").textContent.trim());
window.explorer = new Page(header, arrays);
window.explorer.decodeHere();
$("#loading").remove();
requestAnimationFrame(() => performance.mark("drawn"));
