// What mouse, fingers and keys do to the map.

const CLICK = 5;
const GRIP = 16;
const STEP = 8;

export class Pointer {
  // `acts` has decode(x, y), hover(row, px, py), select(mask), clear(), and `tool`.
  constructor(scatter, acts) {
    Object.assign(this, { scatter, acts, fingers: new Map(), drag: null });
    const canvas = scatter.over;
    const listen = (name, f) => canvas.addEventListener(name, f, { passive: false });
    listen("pointerdown", (event) => this.down(event));
    listen("pointermove", (event) => this.move(event));
    listen("pointerup", (event) => this.up(event));
    listen("pointercancel", (event) => this.up(event));
    listen("pointerleave", () => acts.hover(-1));
    listen("wheel", (event) => this.wheel(event));
    listen("keydown", (event) => this.key(event));
  }

  place(event) {
    const box = this.scatter.over.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  down(event) {
    const at = this.place(event);
    this.scatter.over.setPointerCapture(event.pointerId);
    this.fingers.set(event.pointerId, at);
    if (this.fingers.size > 1) this.drag = { kind: "pinch" };
    else this.drag = { kind: this.kindAt(event, at), start: at, last: at, isFar: false };
    if (this.drag.kind === "lasso") this.scatter.marks.lasso = [at];
  }

  kindAt(event, [px, py]) {
    if (event.shiftKey || this.acts.tool === "lasso") return "lasso";
    const { point } = this.scatter.marks;
    if (!point) return "pan";
    const [x, y] = this.scatter.toScreen(...point);
    return Math.hypot(x - px, y - py) < GRIP ? "morph" : "pan";
  }

  move(event) {
    const at = this.place(event);
    const { drag } = this;
    if (!drag) return this.hover(at);
    if (drag.kind === "pinch") return this.pinch(event.pointerId, at);
    const [dx, dy] = [at[0] - drag.last[0], at[1] - drag.last[1]];
    if (Math.hypot(at[0] - drag.start[0], at[1] - drag.start[1]) > CLICK) drag.isFar = true;
    if (!drag.isFar) return undefined;
    drag.last = at;
    this.acts.hover(-1);
    if (drag.kind === "pan") this.scatter.panBy(dx, dy);
    if (drag.kind === "morph") this.acts.decode(...this.scatter.toData(...at));
    if (drag.kind === "lasso") this.scatter.marks.lasso.push(at);
    return this.scatter.ask();
  }

  hover(at) {
    this.hovered = at;
    if (this.isAsked) return;
    this.isAsked = true;
    requestAnimationFrame(() => {
      this.isAsked = false;
      this.acts.hover(this.scatter.pick(...this.hovered), ...this.hovered);
    });
  }

  pinch(id, at) {
    const before = [...this.fingers.values()];
    this.fingers.set(id, at);
    const after = [...this.fingers.values()];
    const span = ([a, b]) => Math.max(1, Math.hypot(a[0] - b[0], a[1] - b[1]));
    const middle = ([a, b]) => [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2];
    const [from, to] = [middle(before), middle(after)];
    this.scatter.panBy(to[0] - from[0], to[1] - from[1]);
    this.scatter.zoomAt(...to, span(after) / span(before));
  }

  up(event) {
    const { drag, scatter } = this;
    const isLast = this.fingers.delete(event.pointerId) && !this.fingers.size;
    if (!drag || !isLast) return;
    this.drag = null;
    if (event.type === "pointercancel") scatter.marks.lasso = [];
    else if (drag.kind === "lasso" && drag.isFar) this.endLasso();
    else if (drag.kind !== "pinch" && !drag.isFar) this.acts.decode(...scatter.toData(...drag.start));
    scatter.ask();
  }

  endLasso() {
    const { lasso } = this.scatter.marks;
    this.scatter.marks.lasso = [];
    this.acts.select(this.scatter.inside(lasso));
  }

  wheel(event) {
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 30 : 1;
    this.scatter.zoomAt(...this.place(event), Math.exp(-0.0015 * lines * event.deltaY));
  }

  key(event) {
    const { scatter } = this;
    const center = [scatter.width / 2, scatter.height / 2];
    const step = event.shiftKey ? 1 : STEP;
    const moves = { ArrowLeft: [-step, 0], ArrowRight: [step, 0], ArrowUp: [0, -step], ArrowDown: [0, step] };
    const others = {
      "+": () => scatter.zoomAt(...center, 1.25),
      "=": () => scatter.zoomAt(...center, 1.25),
      "-": () => scatter.zoomAt(...center, 0.8),
      0: () => scatter.fit(),
      Enter: () => this.acts.snap(),
      Escape: () => this.acts.clear(),
    };
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (moves[event.key]) this.step(...moves[event.key]);
    else if (others[event.key]) others[event.key]();
    else return;
    event.preventDefault();
  }

  step(dx, dy) {
    const { scatter } = this;
    const at = scatter.toScreen(...(scatter.marks.point ?? [scatter.view.x, scatter.view.y]));
    this.acts.decode(...scatter.toData(at[0] + dx, at[1] + dy));
  }
}
