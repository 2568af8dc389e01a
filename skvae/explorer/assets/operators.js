// Operators of ONNX on tensors {data, shape}. Numbers are float64; constants keep the
// type that they have. Whole numbers and truth values are numbers too.

export const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1);

const tensor = (data, shape) => ({ data, shape });
const floats = (shape) => tensor(new Float64Array(sizeOf(shape)), shape);
const positive = (axis, n) => (axis < 0 ? axis + n : axis);
const axesOf = (given, n) => [...given.data].map((axis) => positive(axis, n));

function strides(shape) {
  const steps = new Array(shape.length);
  for (let i = shape.length - 1, step = 1; i >= 0; step *= shape[i--]) steps[i] = step;
  return steps;
}

// Shapes that go together

function together(...shapes) {
  const n = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: n }, (_, i) => {
    const sizes = shapes.map((shape) => shape[shape.length - n + i] ?? 1);
    return sizes.find((size) => size !== 1) ?? 1;
  });
}

// Copies values along given steps, one per axis of the result, from an offset.
function gathered(data, shape, steps, offset = 0) {
  const result = floats(shape);
  const at = new Int32Array(shape.length);
  const last = shape.length - 1;
  for (let i = 0, from = offset; i < result.data.length; i++) {
    result.data[i] = data[from];
    for (let axis = last; axis >= 0; axis--) {
      from += steps[axis];
      if (++at[axis] < shape[axis]) break;
      from -= steps[axis] * shape[axis];
      at[axis] = 0;
    }
  }
  return result;
}

function expanded(a, shape) {
  const lead = shape.length - a.shape.length;
  const own = strides(a.shape);
  const steps = shape.map((_, i) => (i < lead || a.shape[i - lead] === 1 ? 0 : own[i - lead]));
  return gathered(a.data, shape, steps);
}

// Whether the values of `a` repeat as they are along the leading axes of a shape.
function repeats(a, shape) {
  const own = a.shape.slice(a.shape.findIndex((size) => size !== 1));
  if (a.data.length === 1) return true;
  return own.every((size, i) => size === shape[shape.length - own.length + i]);
}

const binary = (f) => (a, b) => {
  const shape = together(a.shape, b.shape);
  const result = floats(shape);
  const [x, y] = [a, b].map((t) => (repeats(t, shape) ? t : expanded(t, shape)).data);
  const [n, m] = [x.length, y.length];
  for (let i = 0, j = 0, k = 0; i < result.data.length; i++) {
    result.data[i] = f(x[j], y[k]);
    if (++j === n) j = 0;
    if (++k === m) k = 0;
  }
  return result;
};

const unary = (f) => (a) => {
  const result = floats(a.shape);
  for (let i = 0; i < a.data.length; i++) result.data[i] = f(a.data[i]);
  return result;
};

function where(condition, a, b) {
  const shape = together(condition.shape, a.shape, b.shape);
  const [is, x, y] = [condition, a, b].map((t) => expanded(t, shape).data);
  const result = floats(shape);
  for (let i = 0; i < is.length; i++) result.data[i] = is[i] ? x[i] : y[i];
  return result;
}

function roundHalfToEven(x) {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

// Over axes

// Calls f(values, place) for each row along an axis, and puts numbers in the places.
function along(a, axis, length, f) {
  const inner = sizeOf(a.shape.slice(axis + 1));
  const n = a.shape[axis];
  const shape = a.shape.map((size, i) => (i === axis ? length : size));
  const result = floats(shape);
  const row = new Float64Array(n);
  for (let outer = 0; outer < sizeOf(a.shape.slice(0, axis)); outer++) {
    for (let i = 0; i < inner; i++) {
      for (let j = 0; j < n; j++) row[j] = a.data[(outer * n + j) * inner + i];
      const values = f(row);
      for (let j = 0; j < length; j++) result.data[(outer * length + j) * inner + i] = values[j];
    }
  }
  return result;
}

function without(a, axes, isKept) {
  return isKept ? a : tensor(a.data, a.shape.filter((_, i) => !axes.includes(i)));
}

const reduction = (f) => (a, given, { keepdims }) => {
  const axes = axesOf(given, a.shape.length);
  const all = axes.reduce((b, axis) => along(b, axis, 1, (row) => [f(row)]), a);
  return without(all, axes, keepdims);
};

const sum = (row) => row.reduce((a, b) => a + b, 0);
const largest = (row) => row.reduce((a, b) => (a > b || a !== a ? a : b), -Infinity);

function softmax(row) {
  const most = largest(row);
  const masses = row.map((value) => Math.exp(value - most));
  const total = sum(masses);
  return masses.map((mass) => mass / total);
}

function logSoftmax(row) {
  const most = largest(row);
  const total = Math.log(sum(row.map((value) => Math.exp(value - most))));
  return row.map((value) => value - most - total);
}

const normalized = (f) => (a, { axis }) => {
  const at = positive(axis, a.shape.length);
  return along(a, at, a.shape[at], f);
};

function argMax(a, { axis, keepdims }) {
  const at = positive(axis, a.shape.length);
  const found = along(a, at, 1, (row) => [row.indexOf(largest(row))]);
  return without(found, [at], keepdims);
}

// Products

function rowTimes(x, from, y, at, n, m, result, to) {
  for (let k = 0; k < n; k++) {
    const value = x[from + k];
    for (let j = 0, i = at + k * m; j < m; j++, i++) result[to + j] += value * y[i];
  }
}

function matMul(a, b) {
  if (b.shape.length === 1) {
    const product = matMul(a, tensor(b.data, [b.shape[0], 1]));
    return tensor(product.data, product.shape.slice(0, -1));
  }
  const [n, m] = b.shape.slice(-2);
  const rows = a.shape[a.shape.length - 2];
  const lead = together(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const x = expanded(a, [...lead, rows, n]).data;
  const y = b.shape.length === 2 ? b.data : expanded(b, [...lead, n, m]).data;
  const result = floats([...lead, rows, m]);
  for (let i = 0; i < sizeOf(lead) * rows; i++) {
    const at = b.shape.length === 2 ? 0 : Math.floor(i / rows) * n * m;
    rowTimes(x, i * n, y, at, n, m, result.data, i * m);
  }
  return result;
}

// Places

function reshape(a, given) {
  const sizes = [...given.data].map((size, i) => (size === 0 ? a.shape[i] : size));
  const known = sizes.filter((size) => size !== -1).reduce((x, y) => x * y, 1);
  return tensor(a.data, sizes.map((size) => (size === -1 ? a.data.length / known : size)));
}

function unsqueeze(a, given) {
  const shape = [...a.shape];
  for (const axis of axesOf(given, a.shape.length + given.data.length)) shape.splice(axis, 0, 1);
  return tensor(a.data, shape);
}

function transpose(a, { perm }) {
  const own = strides(a.shape);
  return gathered(a.data, perm.map((i) => a.shape[i]), perm.map((i) => own[i]));
}

function slice(a, begin, end, axis) {
  const at = positive(axis.data[0], a.shape.length);
  const [from, to] = [begin.data[0], Math.min(end.data[0], a.shape[at])];
  const shape = a.shape.map((size, i) => (i === at ? Math.max(0, to - from) : size));
  const own = strides(a.shape);
  return gathered(a.data, shape, own, from * own[at]);
}

function gather(a, index, { axis = 0 }) {
  const at = positive(axis, a.shape.length);
  const inner = sizeOf(a.shape.slice(at + 1));
  const n = a.shape[at];
  const result = floats([...a.shape.slice(0, at), ...index.shape, ...a.shape.slice(at + 1)]);
  let to = 0;
  for (let outer = 0; outer < sizeOf(a.shape.slice(0, at)); outer++) {
    for (const given of index.data) {
      const from = (outer * n + positive(given, n)) * inner;
      for (let i = 0; i < inner; i++) result.data[to++] = a.data[from + i];
    }
  }
  return result;
}

function gatherElements(a, index, { axis = 0 }) {
  const at = positive(axis, a.shape.length);
  const result = floats(index.shape);
  const [own, steps] = [strides(a.shape), strides(index.shape)];
  for (let i = 0; i < index.data.length; i++) {
    let from = 0;
    for (let j = 0; j < own.length; j++) {
      const place = Math.floor(i / steps[j]) % index.shape[j];
      from += own[j] * (j === at ? positive(index.data[i], a.shape[at]) : place);
    }
    result.data[i] = a.data[from];
  }
  return result;
}

function concat(...given) {
  const { axis } = given.pop();
  const at = positive(axis, given[0].shape.length);
  const shape = given[0].shape.map((size, i) => (i === at ? sum(given.map((t) => t.shape[at])) : size));
  const result = floats(shape);
  const parts = given.map((t) => sizeOf(t.shape.slice(at)));
  let to = 0;
  for (let outer = 0; outer < sizeOf(shape.slice(0, at)); outer++) {
    given.forEach((t, i) => {
      for (let j = 0; j < parts[i]; j++) result.data[to++] = t.data[outer * parts[i] + j];
    });
  }
  return result;
}

function pad(a, pads, fill) {
  const n = a.shape.length;
  const ends = [...pads.data];
  const shape = a.shape.map((size, i) => size + ends[i] + ends[n + i]);
  const result = floats(shape);
  result.data.fill(fill.data[0]);
  const [own, steps] = [strides(a.shape), strides(shape)];
  for (let i = 0; i < a.data.length; i++) {
    let to = 0;
    for (let j = 0; j < n; j++) to += steps[j] * ((Math.floor(i / own[j]) % a.shape[j]) + ends[j]);
    result.data[to] = a.data[i];
  }
  return result;
}

function cast(a, { to }) {
  if (to === "int64") return unary(Math.trunc)(a);
  return to === "bool" ? unary((x) => (x !== 0 ? 1 : 0))(a) : a;
}

const truth = (f) => binary((x, y) => (f(x, y) ? 1 : 0));

export const OPERATORS = {
  Abs: unary(Math.abs),
  Add: binary((x, y) => x + y),
  And: truth((x, y) => x && y),
  ArgMax: argMax,
  Cast: cast,
  Ceil: unary(Math.ceil),
  Concat: concat,
  Div: binary((x, y) => x / y),
  Equal: truth((x, y) => x === y),
  Exp: unary(Math.exp),
  Expand: (a, given) => expanded(a, together(a.shape, [...given.data])),
  Floor: unary(Math.floor),
  Gather: gather,
  GatherElements: gatherElements,
  Greater: truth((x, y) => x > y),
  GreaterOrEqual: truth((x, y) => x >= y),
  Identity: (a) => a,
  IsNaN: unary((x) => (x !== x ? 1 : 0)),
  Less: truth((x, y) => x < y),
  LessOrEqual: truth((x, y) => x <= y),
  Log: unary(Math.log),
  LogSoftmax: normalized(logSoftmax),
  MatMul: matMul,
  Max: binary(Math.max),
  Min: binary(Math.min),
  Mul: binary((x, y) => x * y),
  Neg: unary((x) => -x),
  Not: unary((x) => (x ? 0 : 1)),
  Or: truth((x, y) => x || y),
  Pad: pad,
  Pow: binary(Math.pow),
  Reciprocal: unary((x) => 1 / x),
  ReduceMax: reduction(largest),
  ReduceMean: reduction((row) => sum(row) / row.length),
  ReduceSum: reduction(sum),
  Relu: unary((x) => (x < 0 ? 0 : x)),
  Reshape: reshape,
  Round: unary(roundHalfToEven),
  Shape: (a) => tensor(Float64Array.from(a.shape), [a.shape.length]),
  Sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  Sign: unary(Math.sign),
  Slice: slice,
  Softmax: normalized(softmax),
  Sqrt: unary(Math.sqrt),
  Squeeze: (a, given) => without(a, axesOf(given, a.shape.length), 0),
  Sub: binary((x, y) => x - y),
  Tanh: unary(Math.tanh),
  Transpose: transpose,
  Unsqueeze: unsqueeze,
  Where: where,
};
