// Event rate and latency over the last half minute.
import { byId, ceiling, colour, element, sharp, short } from "./look.js";

const LENGTH = 600; // points: half a minute at twenty a second

export function drawStrips(pulses, stats) {
  const rate = stats?.event_rate, { p50_ms: p50, p99_ms: p99 } = stats ?? {};
  figures(byId("rate"), rate == null ? [] : [["", `${short(rate)}ev/s`]]);
  figures(byId("latency"), [["p50", p50], ["p99", p99]].filter(([, ms]) => ms != null).map(([name, ms]) => [name, `${ms.toFixed(ms < 10 ? 2 : 1)} ms`]));
  strip(byId("rate-strip"), pulses.map((pulse) => pulse[0]), { tint: colour("trace"), unit: "ev/s" });
  strip(byId("latency-strip"), pulses.map((pulse) => pulse[1]), { tint: colour("trace-2"), unit: "ms", level: p99 });
}

function figures(place, pairs) {
  place.replaceChildren(...pairs.flatMap(([name, value]) => [document.createTextNode(` ${name} `), element("b", "", value)]));
}

function strip(canvas, values, { tint, unit, level }) {
  const sheet = sharp(canvas);
  if (!sheet) return;
  const { pen, width, height } = sheet;
  const known = values.filter((value) => value != null), top = ceiling(Math.max(1e-3, level ?? 0, ...known));
  const x = (at) => width - ((values.length - 1 - at) / (LENGTH - 1)) * width;
  const y = (value) => height - 1 - (value / top) * (height - 15);
  pen.clearRect(0, 0, width, height);
  scale(pen, width, height, `${short(top)}${unit.startsWith("e") ? "" : " "}${unit}`);
  if (!known.length) return;
  pen.beginPath();
  let open = false, from = 0, to = 0;
  values.forEach((value, at) => {
    if (value == null) { open = false; return; }
    if (open) pen.lineTo(x(at), y(value));
    else { pen.moveTo(x(at), y(value)); from = at; }
    open = true;
    to = at;
  });
  Object.assign(pen, { strokeStyle: tint, lineWidth: 1.5, lineJoin: "round" });
  pen.stroke();
  if (known.length === to - from + 1) { // one piece: shade what is below
    pen.lineTo(x(to), height);
    pen.lineTo(x(from), height);
    Object.assign(pen, { fillStyle: tint, globalAlpha: 0.14 });
    pen.fill();
    pen.globalAlpha = 1;
  }
  if (level != null) dashed(pen, width, y(level));
}

function scale(pen, width, height, words) {
  pen.strokeStyle = colour("line");
  pen.lineWidth = 1;
  for (const at of [14, (height + 13) / 2, height - 1]) {
    pen.beginPath();
    pen.moveTo(0, Math.round(at) + 0.5);
    pen.lineTo(width, Math.round(at) + 0.5);
    pen.stroke();
  }
  Object.assign(pen, { fillStyle: colour("muted"), textBaseline: "top", textAlign: "left" });
  pen.fillText(words, 0, 0);
  pen.textAlign = "right";
  pen.fillText("last 30 s", width, 0);
}

function dashed(pen, width, at) {
  pen.setLineDash([4, 4]);
  pen.strokeStyle = colour("muted");
  pen.lineWidth = 1;
  pen.beginPath();
  pen.moveTo(0, at);
  pen.lineTo(width, at);
  pen.stroke();
  pen.setLineDash([]);
}
