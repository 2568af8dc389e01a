// Numbers in few bits → numbers, and cells of columns → text.

const DAY = 86400000;

// The numbers that codes stand for.
function levelsOf(said, arrays) {
  if ("levels" in said) return arrays[said.levels].data;
  const step = said.n > 1 ? (said.high - said.low) / (said.n - 1) : 0;
  return Float64Array.from({ length: said.n }, (_, i) => said.low + i * step);
}

// Returns numbers, NaN where they are missing.
export function numbersOf(said, arrays) {
  const levels = levelsOf(said, arrays);
  return Float64Array.from(arrays[said.codes].data, (code) => levels[code] ?? NaN);
}

// Returns the components of points, one array each.
export function pointsOf(said, arrays) {
  const { data, shape: [n, length] } = arrays[said.codes];
  return Array.from({ length: n }, (_, k) => {
    const step = (said.high[k] - said.low[k]) / 65535;
    const codes = data.subarray(k * length, (k + 1) * length);
    return Float64Array.from(codes, (code) => said.low[k] + code * step);
  });
}

export function numberText(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const digits = size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3;
  const isExtreme = size >= 1e6 || (size > 0 && size < 1e-3);
  const text = isExtreme ? value.toExponential(2) : String(Number(value.toFixed(digits)));
  return text.replace("e+", "e").replaceAll("-", "−");
}

const MANY_DAYS = 60;

// A date, with the time of day unless the column spans many days.
function dateText(days, span) {
  const date = new Date(days * DAY);
  if (Number.isNaN(date.getTime())) return "–";
  return date.toISOString().slice(0, span > MANY_DAYS ? 10 : 16).replace("T", " ");
}

function truthText(value) {
  if (value === 0 || value === 1) return value ? "yes" : "no";
  return `${Math.round(100 * value)} % yes`;
}

// A column, with the numbers or codes of the rows that travel.
export class Column {
  constructor(said, arrays) {
    Object.assign(this, said);
    this.isCoded = "categories" in said;
    this.codes = arrays[said.codes].data;
    if (!this.isCoded) this.levels = levelsOf(said, arrays);
  }

  // The number or code of a row that travels; NaN where the cell is missing.
  at(place) {
    const code = this.codes[place];
    if (!this.isCoded) return this.levels[code] ?? NaN;
    return code < this.categories.length ? code : NaN;
  }

  text(value) {
    if (!Number.isFinite(value)) return "–";
    if (this.isCoded) return this.categories[Math.round(value)] ?? "–";
    if (this.kind === "boolean") return truthText(value);
    if (this.kind === "datetime") return dateText(this.origin + value, this.to - this.from);
    if (this.kind === "timedelta") return `${numberText(value)} d`;
    if (this.whole) return String(Math.round(value)).replace("-", "−");
    return numberText(value);
  }

  // What a file of values holds: all digits that are known.
  plain(value) {
    if (!Number.isFinite(value)) return "";
    if (this.isCoded || this.kind === "datetime") return this.text(value);
    return String(Number(value.toPrecision(7)));
  }

  // Where a number lies in the range of its column, from 0 to 1.
  fraction(value) {
    const [from, to] = this.kind === "boolean" ? [0, 1] : [this.from, this.to];
    return to > from ? Math.min(1, Math.max(0, (value - from) / (to - from))) : 0.5;
  }
}
