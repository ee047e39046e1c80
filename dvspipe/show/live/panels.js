// Decision, evidence, spikes, attention and the line of numbers: state in, words and bars out.
import { byId, classColour, clock, element, layerColour } from "./look.js";
import { drawWeights, mapOf } from "./picture.js";

let bars = []; // of the evidence, in the network's order
let peak = 0; // of the spike rates seen

export function openPanels(stage) {
  byId("title").textContent = stage.title;
  byId("title").title = stage.title;
  byId("run").textContent = stage.run;
  byId("run").title = stage.run;
  byId("sensor").textContent = `${stage.sensor[0]} × ${stage.sensor[1]}, ${stage.bin_us / 1000} ms bins`;
  byId("labelled-key").hidden = !stage.labels.length;
  byId("evidence").style.setProperty("--names", `${Math.max(6, Math.min(27, 1 + Math.max(...stage.classes.map((name) => name.length))))}ch`);
  byId("evidence").style.setProperty("--half", Math.ceil(stage.classes.length / 2));
  byId("evidence").classList.toggle("few", stage.classes.length <= 6);
  byId("evidence").classList.toggle("two", stage.classes.length > 22);
  bars = stage.classes.map((name, index) => {
    const row = element("li"), mark = element("span", "mark"), bar = element("span", "bar"), fill = element("i"), value = element("span", "value", "0.00");
    const named = element("span", "name", name);
    named.title = name;
    fill.style.backgroundColor = classColour(index);
    bar.append(fill);
    row.append(mark, named, bar, value);
    return { name, row, mark, fill, value };
  });
  byId("evidence").replaceChildren(...bars.map((bar) => bar.row));
  peak = 0;
  byId("spikes-card").hidden = byId("attention-card").hidden = true;
  for (const id of ["spikes", "over-time", "over-space"]) byId(id).replaceChildren();
}

export function drawDecision(stage, now, since) {
  const card = document.querySelector(".decision"), { label = null, truth = null } = now;
  const known = now.t_us != null, judged = label != null && truth != null, right = judged && label === truth;
  card.classList.toggle("right", right);
  card.classList.toggle("wrong", judged && !right);
  card.classList.toggle("idle", label == null);
  byId("verdict").textContent = judged ? (right ? "✓" : "✗") : "";
  byId("verdict").classList.toggle("only", label != null && !judged);
  byId("label").textContent = label ?? "nothing decided";
  byId("label").title = label ?? "";
  byId("label").style.setProperty("--letters", (label ?? "nothing decided").length);
  byId("confidence").textContent = label == null || now.confidence == null ? "" : now.confidence.toFixed(2);
  const words = [];
  if (known && since != null) words.push(`for ${((now.t_us - since) / 1e6).toFixed(1)} s`, truth != null || stage.labels.length ? " · " : "");
  if (right) words.push(element("b", "", "right"), ", as labelled");
  else if (judged) words.push(element("b", "", "wrong"), `, labelled ${truth}`);
  else if (truth != null) words.push(`labelled ${truth}`);
  else if (known && stage.labels.length) words.push("nothing labelled here");
  byId("truth").replaceChildren(...(known ? words : ["waiting for the first bin"]));
}

export function drawEvidence(now) {
  bars.forEach(({ name, row, mark, fill, value }, index) => {
    const share = Math.max(0, Math.min(1, now.evidence?.[index] ?? 0)), decided = now.label === name, labelled = now.truth === name;
    filled(fill, share);
    value.textContent = share.toFixed(2);
    row.classList.toggle("decided", decided);
    mark.classList.toggle("decided", decided);
    mark.classList.toggle("labelled", labelled);
    mark.title = [decided && "decided", labelled && "labelled"].filter(Boolean).join(" and ");
  });
}

export function drawInside({ rates, time, space, neutral }) {
  byId("spikes-card").hidden = !rates.length;
  peak = Math.max(peak, 1e-3, ...rates.map(([, rate]) => rate ?? 0));
  rows(byId("spikes"), rates.map(([name]) => name), spikeBar).forEach((row, index) => {
    filled(row.fill, (rates[index][1] ?? 0) / peak);
    row.fill.style.backgroundColor = layerColour(index);
    row.value.textContent = (rates[index][1] ?? 0).toFixed(3);
  });
  const maps = space.map((map) => ({ ...map, weights: mapOf(map) }));
  byId("attention-card").hidden = neutral == null || !(time.length + maps.length);
  if (neutral != null) drawAttention(time, maps, neutral);
}

function drawAttention(time, maps, neutral) {
  const far = (weights) => Math.max(0, ...weights.map((weight) => Math.abs((weight ?? neutral) - neutral)));
  const reach = Math.max(0.05, ...time.map(([, weights]) => far(weights)), ...maps.map((map) => far(map.weights)));
  byId("low").textContent = (neutral - reach).toFixed(2);
  byId("high").textContent = (neutral + reach).toFixed(2);
  rows(byId("over-time"), time.map(([name]) => name), timeStrip).forEach((row, index) => {
    const weights = time[index][1];
    if (weights.length) drawWeights(row.canvas, weights, weights.length, 1, neutral, reach);
    row.value.textContent = weights.at(-1)?.toFixed(2) ?? "";
  });
  rows(byId("over-space"), maps.map((map) => map.name), spaceMap).forEach((row, index) => {
    const { weights, width, height } = maps[index];
    drawWeights(row.canvas, weights, width, height, neutral, reach);
  });
}

function filled(bar, share) { bar.style.transform = `translateX(${(100 * share - 100).toFixed(1)}%)`; }

// Rows of a list by name, made once and used again while the names stay.
function rows(list, names, make) {
  const key = JSON.stringify(names);
  if (list.shown !== key || !list.made) {
    list.shown = key;
    list.made = names.map(make);
    list.replaceChildren(...list.made.map((row) => row.item));
  }
  return list.made;
}

function spikeBar(name) {
  const item = element("li"), bar = element("span", "bar"), fill = element("i"), value = element("span", "value");
  bar.append(fill);
  item.append(nameOf(name), bar, value);
  return { item, fill, value };
}

function timeStrip(name) {
  const item = element("li"), canvas = element("canvas"), value = element("span", "value");
  picture(canvas, `Attention of ${name} over the last steps, the present one on the right`);
  item.append(nameOf(name), canvas, value);
  return { item, canvas, value };
}

function spaceMap(name) {
  const item = element("li"), canvas = element("canvas");
  picture(canvas, `Attention of ${name} over space`);
  item.append(canvas, nameOf(name));
  return { item, canvas };
}

function picture(canvas, words) {
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", words);
}

function nameOf(name) {
  const made = element("span", "name", name);
  made.title = name;
  return made;
}

export function drawStatus(stage, now) {
  const stats = now.stats ?? {}, count = (value, one, many) => `${value.toLocaleString("en")} ${value === 1 ? one : many}`;
  const pairs = [];
  if (stats.queue != null) pairs.push(["waiting", count(stats.queue, "bin", "bins"), stats.queue > 2]);
  if (stats.dropped_bins != null) pairs.push(["dropped", count(stats.dropped_bins, "bin", "bins"), stats.dropped_bins > 0]);
  if (stats.dropped_events != null) pairs.push(["lost", count(stats.dropped_events, "event", "events"), stats.dropped_events > 0]);
  if (stats.latency_ms != null) pairs.push(["last bin", `${stats.latency_ms.toFixed(2)} ms`]);
  if (stats.speed != null) pairs.push(["running at", `${stats.speed.toFixed(2)}× real time`]);
  if (stage.mode) pairs.push(["mode", stage.mode]);
  byId("status").replaceChildren(...pairs.map(([name, value, warn]) => {
    const pair = element("div", warn ? "warn" : "");
    pair.append(element("dt", "", name), element("dd", "", value));
    return pair;
  }));
}

export function drawClock(stage, tUs) {
  byId("clock").textContent = clock((tUs ?? stage.start_us) - stage.start_us);
  byId("length").textContent = stage.stop_us == null ? "" : ` / ${clock(stage.stop_us - stage.start_us)}`;
}
