// Rows that were marked with the lasso: a list, and a file of them.

import { element, swatch } from "./legend.js";
import { numberText } from "./cells.js";

const MOST_LISTED = 200;

// A spreadsheet would compute what begins with these, unless it is a number.
const FORMULA = /^[=+\-@\t\r]/;
const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

// A field of a file of values, in quotes where it must be. What could be a formula begins
// with an apostrophe, by which spreadsheets know a text.
function field(value) {
  const said = String(value);
  const text = FORMULA.test(said) && !NUMBER.test(said) ? `'${said}` : said;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// A file with all that is known of some rows: one line each, below the names.
function csvOf(rows, table) {
  const { components, z, measures, labels, columns, names: called, places } = table;
  const names = ["row", ...(called ? [called.name] : []), ...(labels ? [labels.name] : []), ...components, ...measures.map((m) => m.name)];
  const lines = [[...names, ...columns.map((column) => column.name)]];
  for (const row of rows) {
    const values = table.valuesOf(row);
    lines.push([
      row,
      ...(called ? [called.texts[places[row]] ?? ""] : []),
      ...(labels ? [labels.plain(row)] : []),
      ...z.map((component) => Number(component[row].toPrecision(6))),
      ...measures.map((measure) => Number(measure.values[row].toPrecision(6))),
      ...columns.map((column, j) => (values ? column.plain(values[j]) : "")),
    ]);
  }
  return lines.map((line) => line.map(field).join(",")).join("\r\n") + "\r\n";
}

export class Selection {
  constructor(holder, table, acts) {
    Object.assign(this, { holder, table, acts, rows: [] });
    holder.querySelector("#export").addEventListener("click", () => this.save());
    holder.querySelector("#clear").addEventListener("click", () => acts.clear());
  }

  show(rows) {
    this.rows = rows;
    this.holder.hidden = !rows.length;
    const n = rows.length.toLocaleString("en");
    this.holder.querySelector("h2").textContent = rows.length === 1 ? "1 row marked" : `${n} rows marked`;
    const listed = rows.slice(0, MOST_LISTED);
    const { measures } = this.table;
    const head = element(
      "tr",
      {},
      ...[this.table.names?.name ?? "row", this.table.labels?.name ?? ""].map((textContent) => element("th", { scope: "col", textContent })),
      ...measures.map(({ name }) => element("th", { scope: "col", className: "value", textContent: name })),
    );
    this.holder.querySelector("thead").replaceChildren(head);
    this.holder.querySelector("tbody").replaceChildren(...listed.map((row) => this.line(row)));
    const rest = rows.length - listed.length;
    this.holder.querySelector("#rest").textContent = rest ? `and ${rest.toLocaleString("en")} more, in the file` : "";
  }

  line(row) {
    const { color, label } = this.table.said(row);
    const textContent = this.table.nameOf(row, "").trim();
    const go = element("button", { type: "button", textContent, title: "Go to this row" });
    go.addEventListener("click", () => this.acts.goTo(row));
    const cells = this.table.measures.map(({ values }) =>
      element("td", { className: "value", textContent: numberText(values[row]) }));
    const tag = element("td", {}, element("span", { className: "tag" }, swatch(color)), label);
    return element("tr", {}, element("td", {}, go), tag, ...cells);
  }

  save() {
    const blob = new Blob([csvOf(this.rows, this.table)], { type: "text/csv" });
    const link = element("a", { href: URL.createObjectURL(blob), download: "rows.csv" });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }
}
