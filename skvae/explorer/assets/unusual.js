// What makes rows unusual: contributions of their cells, and of their place.

import { numberText } from "./cells.js";
import { element } from "./legend.js";

const N_SHOWN = 5;
const N_IN_TIP = 2;
const LATENT = "How far its z is from those of most rows";

// Returns a function of the place of a row that travels: [{name, value}], largest first,
// and last the latent term; null where contributions stayed behind.
export function unusualOf(said, arrays, columns) {
  if (!said) return () => null;
  const [places, codes, steps] = [said.places, said.codes, said.steps].map((i) => arrays[i].data);
  const at = new Map(Array.from(places, (place, i) => [place, i]));
  return (place) => {
    const i = at.get(place);
    if (i === undefined || !Number.isFinite(steps[i])) return null;
    const start = i * (columns.length + 1);
    const valueAt = (j) => codes[start + j] * Math.abs(codes[start + j]) * steps[i];
    const cells = columns.map(({ name }, j) => ({ name, value: valueAt(j) }));
    cells.sort((a, b) => b.value - a.value);
    return [...cells, { name: "latent term", title: LATENT, value: valueAt(columns.length) }];
  };
}

const signed = (value) => (value > 0 ? "+" : "") + numberText(value);

// The first columns that add to the surprise.
const unusualColumns = (found, n) => found.slice(0, -1).slice(0, n).filter(({ value }) => value > 0);

// Shows the largest contributions of a row, called `name`, as bars.
export function showUnusual(holder, found, name) {
  holder.hidden = !found;
  if (!found) return;
  const latent = found.at(-1);
  const lines = [...unusualColumns(found, N_SHOWN), latent];
  const values = lines.map(({ value }) => value);
  const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
  const percent = (value) => `${high > low ? (100 * value) / (high - low) : 0}%`;
  holder.querySelector("h3").textContent = `What makes ${name} unusual`;
  const rows = lines.map((line) => {
    const bar = element("i", { className: line === latent ? "bar latent" : "bar" });
    bar.style.left = percent(Math.min(line.value, 0) - low);
    bar.style.width = percent(Math.abs(line.value));
    const title = line.title ?? line.name;
    const label = element("th", { scope: "row", textContent: line.name, title });
    const value = element("td", { className: "value", textContent: signed(line.value) });
    return element("tr", {}, label, element("td", {}, element("div", { className: "bars" }, bar)), value);
  });
  holder.querySelector("tbody").replaceChildren(...rows);
}

// The largest contributions in few words, "" where none adds to the surprise.
export function unusualText(found) {
  return unusualColumns(found ?? [], N_IN_TIP).map(({ name, value }) => `${name} ${signed(value)}`).join(", ");
}
