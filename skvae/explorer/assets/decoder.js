// The decoder: nodes of a graph, run one after the other.

import { OPERATORS } from "./operators.js";

export class Decoder {
  // `program` is what `_program.py` writes, and `arrays` are those of the pack.
  constructor(program, arrays) {
    this.program = program;
    this.known = new Map();
    for (const [name, number] of Object.entries(program.constants)) {
      this.known.set(name, arrays[number]);
    }
    // What depends on constants alone is computed once.
    this.steps = program.nodes.filter((node) => {
      const isKnown = node[1].every((name) => this.known.has(name));
      if (isKnown) this.known.set(node[2], run(node, this.known));
      return !isKnown;
    });
  }

  // Returns the cells (n * D), numbers and codes, at points z (n * K).
  decode(z, n) {
    const values = new Map(this.known);
    const { input, output } = this.program;
    values.set(input, { data: Float64Array.from(z), shape: [n, z.length / n] });
    for (const node of this.steps) values.set(node[2], run(node, values));
    return values.get(output).data;
  }
}

function run([operator, inputs, , attributes], values) {
  return OPERATORS[operator](...inputs.map((name) => values.get(name)), attributes);
}
