// Small things all panels share: elements, colours of the house, canvases as sharp as the screen, numbers as words.
export const byId = (id) => document.getElementById(id);

export function element(tag, className, text) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text; // names come from files: never markup
  return made;
}

const root = getComputedStyle(document.documentElement);
export const colour = (name) => root.getPropertyValue(`--${name}`).trim();

export function rgb(name) {
  const hex = colour(name);
  return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
}

const CLASSES = 12, LAYERS = 7;
export const classColour = (index) => (index < 0 ? colour("idle") : colour(`class-${index % CLASSES}`));
export const layerColour = (index) => colour(`layer-${index % LAYERS}`);

// Ink that can be read on a colour.
export function inkOn(hex) {
  const [r, g, b] = [1, 3, 5].map((at) => (parseInt(hex.slice(at, at + 2), 16) / 255) ** 2.2);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.25 ? "#0b0e14" : "#ffffff";
}

// A canvas in CSS pixels, drawn in the screen's own. Returns null while it is not on screen.
export function sharp(canvas) {
  const { clientWidth: width, clientHeight: height } = canvas, ratio = devicePixelRatio || 1;
  if (!width || !height) return null;
  const wide = Math.round(width * ratio), high = Math.round(height * ratio);
  const resized = canvas.width !== wide || canvas.height !== high;
  if (resized) Object.assign(canvas, { width: wide, height: high });
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.font = `11.5px ${getComputedStyle(document.body).fontFamily}`;
  return { pen, width, height, resized };
}

export function clipped(pen, text, width) {
  if (pen.measureText(text).width <= width) return text;
  let kept = text.slice(0, Math.max(1, Math.floor((width / pen.measureText(text).width) * text.length)));
  while (kept && pen.measureText(`${kept}…`).width > width) kept = kept.slice(0, -1);
  return kept && `${kept}…`;
}

export function clock(us, digits = 1) {
  const seconds = Math.max(0, us) / 1e6, scale = 10 ** digits, whole = Math.floor(seconds * scale + 1e-6) / scale;
  const minutes = Math.floor(whole / 60), rest = (whole % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${rest}`;
}

export function short(value) {
  if (value >= 1e6) return `${trim(value / 1e6)} M`;
  if (value >= 1e3) return `${trim(value / 1e3)} k`;
  return trim(value);
}

const trim = (value) => (value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)).replace(/\.0+$/, "");

// The next round number above a value: scales that do not twitch.
export function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(value || 1));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].map((step) => step * power).find((step) => step >= value * 0.999);
}
