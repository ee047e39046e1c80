// The page: keeps the newest of everything, and draws it when the screen is ready.
import { Controls } from "./controls.js";
import { link } from "./link.js";
import { byId } from "./look.js";
import { drawClock, drawDecision, drawEvidence, drawInside, drawStatus, openPanels } from "./panels.js";
import { darken, drawGlow } from "./picture.js";
import { drawStrips } from "./strips.js";
import { Timeline } from "./timeline.js";

const RUNS = 20000, PULSES = 600;
const CALM_MS = 250; // between two drawings where motion is not wanted
const calm = matchMedia("(prefers-reduced-motion: reduce)");

let stage = null, now = null, looks = null, picture = null; // the last two: not drawn yet
let runs, pulses, line = "connecting", due = false, drawn = 0, spoken = "", spokenAt = 0;

const lineTo = link({ onParts, onPicture, onState });
const controls = new Controls((command) => lineTo.ask(command));
const timeline = new Timeline((tUs) => controls.seek(tUs));
byId("again").addEventListener("click", () => lineTo.now());
addEventListener("resize", () => { timeline.redraw(); soon(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { timeline.redraw(); soon(); });

function onParts(parts) {
  for (const part of parts) take[part.kind]?.(part);
  soon();
}

const take = {
  stage(part) {
    stage = part;
    runs = { base: 0, items: [] };
    pulses = { base: 0, items: [] };
    now = { t_us: null };
    openPanels(stage);
    timeline.open(stage);
    darken(byId("picture"));
  },
  runs(part) { splice(runs, part, RUNS); },
  pulses(part) { splice(pulses, part, PULSES); },
  looks(part) { looks = part; },
  now(part) { now = part; },
};

// Numbered items: from `first` on they take the place of what was there.
function splice(log, { first, items }, most) {
  if (first < log.base || first > log.base + log.items.length) { log.base = first; log.items = []; }
  log.items.length = first - log.base;
  for (const item of items) log.items.push(item);
  const over = log.items.length - most;
  if (over > most / 4) { log.items.splice(0, over); log.base += over; }
}

function onPicture(bytes) { picture = bytes; soon(); }

function onState(state) { line = state; soon(); }

function soon() {
  if (due) return;
  due = true;
  const wait = calm.matches ? CALM_MS - (performance.now() - drawn) : 0;
  if (wait > 0) setTimeout(() => requestAnimationFrame(draw), wait);
  else requestAnimationFrame(draw);
}

function draw() {
  due = false;
  drawn = performance.now();
  drawState();
  if (!stage) return;
  if (picture) drawGlow(byId("picture"), picture);
  if (looks) drawInside(looks);
  picture = looks = null;
  const last = runs.items.at(-1), since = last?.[2] === now.t_us ? last[1] : null; // a late page still gets its history
  drawDecision(stage, now, since);
  drawEvidence(now);
  drawClock(stage, now.t_us);
  drawStrips(pulses.items.slice(-PULSES), now.stats);
  drawStatus(stage, now);
  timeline.draw(runs, now.t_us);
  controls.show(stage, now, line === "open");
  timeline.seekable(controls.enabled);
  speak();
}

function drawState() {
  const ended = now?.ended, gone = line === "gone";
  const state = ended != null ? "ended" : gone ? "gone" : line === "connecting" ? "connecting" : !stage ? "waiting" : now.paused ? "paused" : "live";
  const words = { ended: "ended", gone: "server gone", connecting: "connecting", waiting: "waiting", paused: "paused", live: "live" }[state];
  if (byId("state").dataset.state !== state) {
    byId("state").dataset.state = state;
    byId("state").querySelector("span").textContent = words;
    document.title = stage ? `${words} · ${stage.title} · dvspipe` : "dvspipe live";
  }
  const notes = [];
  if (ended != null) notes.push(`The run has ended: ${ended}.`);
  if (gone) notes.push(ended != null ? "The server has closed; what you see is the last it sent." : "The server is gone: what you see is the last it sent. Trying again …");
  const text = notes.join(" ").replace("..", ".");
  if (byId("banner-text").textContent !== text) byId("banner-text").textContent = text;
  byId("banner").hidden = !text;
  byId("banner").classList.toggle("bad", gone && ended == null);
  byId("again").hidden = !gone;
}

// For those who listen: a new decision, not more often than one can follow.
function speak() {
  const words = now.label == null ? "nothing decided" : now.label, at = performance.now();
  if (now.t_us == null || words === spoken || at - spokenAt < 2000) return;
  spoken = words;
  spokenAt = at;
  byId("spoken").textContent = words;
}
