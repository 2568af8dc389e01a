// Colors of rows: of classes, or of measured values.

// The ten colors of Petroff (2021), as in the displays of the package.
const CLASSES = [
  "3f90da", "ffa90e", "bd1f01", "94a4a2", "832db6",
  "a96b59", "e76300", "b9ac70", "717581", "92dadd",
].map(rgbOf);

// Viridis, in 17 steps.
const SEQUENCE = [
  "440154", "48186a", "472d7b", "424086", "3b528b", "33638d", "2c728e", "26828e", "21918c",
  "1fa088", "28ae80", "3fbc73", "5ec962", "84d44b", "addc30", "d8e219", "fde725",
].map(rgbOf);

const MOST_CLASSES = 20;
const SHADES = 256;

export const GRAY = [152, 152, 160];

function rgbOf(hex) {
  return [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

export const cssOf = ([r, g, b]) => `rgb(${r} ${g} ${b})`;
export const pixelOf = ([r, g, b]) => (255 << 24) | (b << 16) | (g << 8) | r;

export const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;

// A color for a fraction from 0 to 1; ends that the background would hide are left out.
export function shadeAt(fraction) {
  const [from, to] = isDark() ? [0.15, 1] : [0, 0.92];
  const at = (from + (to - from) * fraction) * (SEQUENCE.length - 1);
  const below = Math.min(Math.floor(at), SEQUENCE.length - 2);
  return SEQUENCE[below].map((c, i) => Math.round(c + (at - below) * (SEQUENCE[below + 1][i] - c)));
}

export function classColor(place) {
  const color = CLASSES[place % CLASSES.length];
  return place < CLASSES.length ? color : color.map((c) => Math.round(0.55 * c));
}

// Values without their outermost hundredths, so that one outlier does not take all colors.
export function usualRange(values) {
  const known = values.filter(Number.isFinite).sort();
  if (!known.length) return [0, 1];
  const at = (fraction) => known[Math.round(fraction * (known.length - 1))];
  return at(0.01) < at(0.99) ? [at(0.01), at(0.99)] : [known[0], known[known.length - 1]];
}

// A coloring has {name, codes, names, colors} for classes, or {name, values, range}.

export function ofValues(name, values) {
  return { name, values, range: usualRange(values) };
}

export function ofClasses(name, codes, names, colors) {
  return { name, codes, names, colors };
}

// Categories of a column: the most frequent have colors of their own.
export function ofCategories(name, values, names) {
  const counts = new Array(names.length).fill(0);
  for (const value of values) if (Number.isFinite(value)) counts[value]++;
  const frequent = [...counts.keys()].sort((i, j) => counts[j] - counts[i]);
  const kept = frequent.slice(0, names.length > MOST_CLASSES ? MOST_CLASSES - 1 : MOST_CLASSES).sort((i, j) => i - j);
  const places = new Map(kept.map((code, place) => [code, place]));
  const said = kept.map((code) => names[code]);
  const colors = said.map((_, place) => classColor(place));
  const rest = names.length > kept.length ? [`${names.length - kept.length} others`] : [];
  const codes = Int16Array.from(values, (value) => {
    if (!Number.isFinite(value)) return kept.length + rest.length;
    return places.get(value) ?? kept.length;
  });
  return ofClasses(name, codes, [...said, ...rest, "not known"], [...colors, ...rest.map(() => GRAY), GRAY]);
}

function fractionOf({ values, range: [from, to] }, row) {
  return to > from ? Math.min(1, Math.max(0, (values[row] - from) / (to - from))) : 0.5;
}

export function colorOf(coloring, row) {
  if (coloring.codes) return coloring.colors[coloring.codes[row]];
  return Number.isFinite(coloring.values[row]) ? shadeAt(fractionOf(coloring, row)) : GRAY;
}

// The colors of all rows, as pixels.
export function pixelsOf(coloring, n) {
  const { codes, values } = coloring;
  const shades = Array.from({ length: SHADES }, (_, i) => shadeAt(i / (SHADES - 1)));
  const palette = (codes ? coloring.colors : shades).map(pixelOf);
  const gray = pixelOf(GRAY);
  const pixels = new Int32Array(n);
  for (let row = 0; row < n; row++) {
    if (codes) pixels[row] = palette[codes[row]];
    else if (!Number.isFinite(values[row])) pixels[row] = gray;
    else pixels[row] = palette[Math.round(fractionOf(coloring, row) * (SHADES - 1))];
  }
  return pixels;
}

function mixed(n) {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  for (let i = n - 1, seed = 1; i > 0; i--) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const j = Math.floor((seed / 2 ** 32) * (i + 1));
    const row = order[i];
    order[i] = order[j];
    order[j] = row;
  }
  return order;
}

// An order in which no class hides another: mixed, and rare ones last.
export function orderOf({ codes, names }, n) {
  const order = mixed(n);
  if (!codes) return order;
  const counts = new Float64Array(names.length);
  for (const code of codes) counts[code]++;
  const rarity = counts.map((count) => Math.max(0, n / (2 * names.length) - count));
  const groups = [...new Set(rarity)].sort((a, b) => a - b);
  const places = rarity.map((value) => groups.indexOf(value));
  const parts = groups.map(() => []);
  for (const row of order) parts[places[codes[row]]].push(row);
  return Uint32Array.from(parts.flat());
}
