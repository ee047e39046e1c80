// What was decided below what was labelled, over sensor time; a slider where the recording can be sought in.
import { byId, classColour, clipped, clock, colour, inkOn, sharp } from "./look.js";

const MINUTE = 60e6, ROW = 22, GAP = 4, AXIS = 18;

export class Timeline {
  constructor(onSeek) {
    this.track = byId("track");
    this.canvas = byId("timeline");
    this.head = byId("head");
    this.tip = byId("tip");
    this.onSeek = onSeek;
    this.held = null; // sensor time under a dragging finger
    this.painted = -1; // runs before this number are on the canvas already
    this.listen();
  }

  open(stage) {
    Object.assign(this, { stage, painted: -1, held: null, span: null });
    this.index = new Map(stage.classes.map((name, at) => [name, at]));
    this.seekable(stage.can_seek);
    this.track.setAttribute("aria-label", "Position in the recording");
    byId("labelled").hidden = !stage.labels.length;
    const high = (stage.labels.length ? 2 : 1) * (ROW + GAP) + AXIS;
    this.canvas.style.height = `${high}px`;
    this.head.style.height = `${high - AXIS + 2}px`;
  }

  seekable(can) {
    this.can = can;
    this.track.tabIndex = can ? 0 : -1;
    if (can) this.track.setAttribute("role", "slider");
    else this.track.removeAttribute("role");
    if (!can) { this.held = null; this.tip.hidden = true; }
  }

  // Runs are {base, items}: item i has number base + i. Later ones lie over earlier ones, as after a seek.
  draw(runs, tUs) {
    const sheet = this.stage && sharp(this.canvas);
    if (!sheet) return;
    const span = this.spanAt(tUs), moved = !this.span || span[0] !== this.span[0] || span[1] !== this.span[1];
    this.span = span;
    this.runs = runs;
    this.width = sheet.width;
    const anew = sheet.resized || moved || this.painted < runs.base;
    if (anew) this.paper(sheet);
    const row = this.stage.labels.length ? ROW + GAP : 0;
    const items = anew ? runs.items : runs.items.slice(Math.max(0, this.painted - runs.base));
    for (const [label, start, stop] of items)
      if (stop > span[0] && start < span[1]) this.block(sheet.pen, label, start, stop, row);
    this.painted = runs.base + Math.max(0, runs.items.length - 1); // the last one may grow
    this.place(tUs);
  }

  redraw() { this.painted = -1; }

  spanAt(tUs) {
    const { start_us: start, stop_us: stop } = this.stage;
    if (stop != null) return [start, Math.max(stop, start + 1)];
    const end = Math.max(tUs ?? start, start + MINUTE);
    return [end - MINUTE, end];
  }

  x(us) { return ((us - this.span[0]) / (this.span[1] - this.span[0])) * this.width; }

  paper({ pen, width, height }) {
    pen.clearRect(0, 0, width, height);
    const rows = this.stage.labels.length ? 2 : 1;
    pen.fillStyle = colour("rail");
    for (let row = 0; row < rows; row++) pen.fillRect(0, row * (ROW + GAP), width, ROW);
    for (const [name, start, stop] of this.stage.labels)
      if (stop > this.span[0] && start < this.span[1]) this.block(pen, name, start, stop, 0);
    this.axis(pen, width, rows * (ROW + GAP));
  }

  block(pen, label, start, stop, top) {
    const left = Math.max(0, this.x(start)), wide = Math.max(0.75, Math.min(this.width, this.x(stop)) - left);
    const tint = label == null ? colour("rail") : classColour(this.index.get(label) ?? -1);
    pen.fillStyle = tint;
    pen.fillRect(left, top, wide, ROW);
    if (label == null || wide < 26) return;
    pen.fillStyle = inkOn(tint);
    Object.assign(pen, { textAlign: "left", textBaseline: "middle" });
    pen.fillText(clipped(pen, label, wide - 10), left + 5, top + ROW / 2 + 0.5);
  }

  axis(pen, width, top) {
    const length = this.span[1] - this.span[0];
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 3600, 7200].map((seconds) => seconds * 1e6);
    const step = steps.find((each) => (each / length) * width >= 72) ?? 14400e6, zero = this.stage.start_us;
    Object.assign(pen, { fillStyle: colour("muted"), textBaseline: "top" });
    for (let at = Math.ceil((this.span[0] - zero) / step) * step; at <= this.span[1] - zero; at += step) {
      const x = this.x(at + zero);
      pen.fillRect(Math.min(width - 1, Math.round(x)), top - 1, 1, 4);
      pen.textAlign = x < 20 ? "left" : x > width - 22 ? "right" : "center";
      pen.fillText(clock(at, step < 1e6 ? 1 : 0), x < 20 ? Math.max(0, x) : Math.min(width, x), top + 5);
    }
  }

  place(tUs) {
    const shown = this.held ?? tUs;
    this.head.hidden = shown == null;
    if (shown == null) return;
    this.head.style.transform = `translateX(${Math.max(0, Math.min(this.width, this.x(shown))).toFixed(1)}px)`;
    if (!this.can) return;
    const zero = this.stage.start_us, seconds = (us) => ((us - zero) / 1e6).toFixed(1);
    this.track.setAttribute("aria-valuemin", seconds(this.span[0]));
    this.track.setAttribute("aria-valuemax", seconds(this.span[1]));
    this.track.setAttribute("aria-valuenow", seconds(shown));
    this.track.setAttribute("aria-valuetext", `${seconds(shown)} seconds`);
  }

  at(event) {
    const box = this.canvas.getBoundingClientRect(), share = (event.clientX - box.left) / box.width;
    return Math.round(this.span[0] + Math.max(0, Math.min(1, share)) * (this.span[1] - this.span[0]));
  }

  listen() {
    const { track } = this;
    let asked = 0;
    track.addEventListener("pointerdown", (event) => {
      if (!this.can || !this.span || event.button) return;
      track.setPointerCapture(event.pointerId);
      this.held = this.at(event);
      this.place(this.held);
      asked = 0;
    });
    track.addEventListener("pointermove", (event) => {
      if (this.span) this.hint(event);
      if (this.held == null) return;
      this.held = this.at(event);
      this.place(this.held);
      if (event.timeStamp - asked > 120) { asked = event.timeStamp; this.onSeek(this.held); }
    });
    track.addEventListener("pointerup", () => {
      if (this.held != null) this.onSeek(this.held);
      this.held = null;
    });
    track.addEventListener("pointercancel", () => { this.held = null; });
    track.addEventListener("pointerleave", () => { this.tip.hidden = true; });
  }

  hint(event) {
    const us = this.at(event), within = ([, start, stop]) => start <= us && us < stop;
    const labelled = this.stage.labels.find(within)?.[0], decided = this.runs.items.findLast(within)?.[0];
    const words = [clock(us - this.stage.start_us)];
    if (labelled) words.push(`labelled ${labelled}`);
    if (decided) words.push(`decided ${decided}`);
    this.tip.textContent = words.join(" · ");
    this.tip.hidden = false;
    const half = this.tip.offsetWidth / 2, x = Math.max(half, Math.min(this.width - half, this.x(us)));
    this.tip.style.transform = `translateX(${(x - half).toFixed(1)}px)`;
  }
}
