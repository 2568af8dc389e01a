// What colors mean; classes can be switched off and on.

import { cssOf, shadeAt } from "./colors.js";
import { numberText } from "./cells.js";

export function element(tag, said = {}, ...children) {
  const { dataset, ...rest } = said;
  const made = Object.assign(document.createElement(tag), rest);
  Object.assign(made.dataset, dataset);
  made.append(...children);
  return made;
}

export function swatch(color) {
  const made = element("span", { className: "swatch", ariaHidden: "true" });
  made.style.background = cssOf(color);
  return made;
}

// Shows a coloring in a holder; `hidden` is the set of classes that are switched off.
export function showLegend(holder, coloring, hidden, onToggle) {
  holder.replaceChildren(element("h2", { textContent: coloring.name }));
  if (coloring.values) return void holder.append(...gradient(coloring));
  const counts = new Array(coloring.names.length).fill(0);
  for (const code of coloring.codes) counts[code]++;
  const list = element("ul");
  coloring.names.forEach((name, code) => {
    if (counts[code]) list.append(element("li", {}, toggle(coloring, code, counts[code], hidden, onToggle)));
  });
  return void holder.append(list);
}

function toggle(coloring, code, count, hidden, onToggle) {
  const button = element(
    "button",
    { type: "button", title: "Click: hide or show. Double click: only this one." },
    swatch(coloring.colors[code]),
    element("span", { className: "name", textContent: coloring.names[code] }),
    element("span", { className: "count", textContent: count.toLocaleString("en") }),
  );
  button.ariaPressed = String(!hidden.has(code));
  button.addEventListener("click", () => onToggle(code));
  button.addEventListener("dblclick", () => onToggle(code, true));
  return button;
}

function gradient({ values, range }) {
  const bar = element("div", { className: "gradient" });
  const stops = Array.from({ length: 9 }, (_, i) => cssOf(shadeAt(i / 8)));
  bar.style.background = `linear-gradient(to right, ${stops.join(", ")})`;
  const ends = range.map((value) => element("span", { textContent: numberText(value) }));
  const parts = [bar, element("div", { className: "ends" }, ...ends)];
  const gaps = values.reduce((n, value) => n + !Number.isFinite(value), 0);
  if (gaps) parts.push(element("p", { textContent: `${gaps.toLocaleString("en")} rows in gray: not known` }));
  return parts;
}
