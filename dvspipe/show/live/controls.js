// Buttons and keys: what a hand does becomes a command to the server.
import { byId, element } from "./look.js";

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 0]; // 0 = as fast as possible, behind the fastest
const named = (speed) => (speed === 0 ? "max" : `${speed}×`);

export class Controls {
  constructor(ask) {
    this.ask = ask;
    this.stage = this.now = null;
    this.enabled = false;
    this.target = null; // of a seek that the run has not answered yet
    this.chosen = -Infinity; // when a speed was, on the page
    this.button("play", () => this.toggle());
    this.button("step", () => this.step());
    this.button("help-open", () => byId("help").showModal());
    byId("speed").addEventListener("change", ({ target }) => {
      this.chosen = performance.now();
      this.faster(Number(target.value));
      if (!target.matches(":focus-visible")) target.blur();
    });
    byId("help").addEventListener("click", ({ target }) => { if (target === byId("help")) byId("help").close(); });
    addEventListener("keydown", (event) => this.key(event));
    this.offer(1);
  }

  show(stage, now, open) {
    Object.assign(this, { stage, now });
    this.enabled = open && stage.can_seek && now.ended == null;
    byId("controls").hidden = !stage.can_seek;
    byId("hint").hidden = !stage.can_seek || now.ended != null;
    for (const id of ["play", "step", "speed"]) byId(id).disabled = !this.enabled;
    const words = now.paused ? "Play" : "Pause";
    byId("play").classList.toggle("paused", Boolean(now.paused));
    if (byId("play").getAttribute("aria-label") !== words) byId("play").setAttribute("aria-label", words);
    if (now.speed != null && performance.now() - this.chosen > 500) this.offer(now.speed);
  }

  button(id, act) {
    byId(id).addEventListener("click", (event) => {
      if (event.detail) event.currentTarget.blur(); // after a mouse's click the space key is the page's again
      act();
    });
  }

  offer(speed) {
    const select = byId("speed"), offered = SPEEDS.includes(speed) ? SPEEDS : [speed, ...SPEEDS];
    if (select.offered !== String(offered)) {
      select.offered = String(offered);
      select.replaceChildren(...offered.map((each) => Object.assign(element("option", "", named(each)), { value: each })));
    }
    if (Number(select.value) !== speed) select.value = String(speed);
  }

  toggle() { if (this.enabled) this.ask({ do: this.now.paused ? "play" : "pause" }); }

  step() { if (this.enabled) this.ask({ do: "step" }); }

  seek(tUs) {
    if (!this.enabled) return;
    const { start_us: start, stop_us: stop } = this.stage;
    const clamped = Math.round(Math.max(start, Math.min(stop ?? Infinity, tUs)));
    this.target = { at: performance.now(), tUs: clamped };
    this.ask({ do: "seek", t_us: clamped });
  }

  by(seconds) {
    // A held key asks faster than the run answers: go on from what was asked for.
    const asked = this.target && performance.now() - this.target.at < 400 ? this.target.tUs : this.now?.t_us;
    if (asked != null) this.seek(asked + seconds * 1e6);
  }

  faster(speed) { if (this.enabled) this.ask({ do: "speed", speed }); }

  along(direction) {
    const rank = (speed) => (speed === 0 ? Infinity : speed), at = rank(this.now?.speed ?? 1);
    const next = direction > 0 ? SPEEDS.find((each) => rank(each) > at) : SPEEDS.findLast((each) => rank(each) < at);
    if (next !== undefined) this.faster(next);
  }

  key(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || byId("help").open) return;
    const within = event.target instanceof Element ? event.target.tagName : "";
    if (within === "SELECT" || (event.key === " " && (within === "BUTTON" || within === "SUMMARY"))) return;
    const seconds = event.shiftKey ? 5 : 1;
    const act = {
      " ": () => this.toggle(), ".": () => this.step(), "+": () => this.along(1), "=": () => this.along(1), "-": () => this.along(-1),
      ArrowLeft: () => this.by(-seconds), ArrowRight: () => this.by(seconds),
      Home: () => this.seek(this.stage?.start_us ?? 0), End: () => { if (this.stage?.stop_us != null) this.seek(this.stage.stop_us); },
      "?": () => byId("help").showModal(),
    }[event.key];
    if (!act) return;
    if (event.key === "?" || this.enabled) event.preventDefault();
    act();
  }
}
