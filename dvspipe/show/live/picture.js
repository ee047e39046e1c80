// Pictures from bytes: the glow of events, and maps of attention.
import { rgb } from "./look.js";

const BACK = rgb("night"), WARM = rgb("on"), COOL = rgb("off");

// Width, height (uint16), then the glow of OFF and of ON, one byte per pixel: hue by polarity, brightness by the stronger.
export function drawGlow(canvas, buffer) {
  const [width, height] = new Uint16Array(buffer, 0, 2), size = width * height;
  const off = new Uint8Array(buffer, 4, size), on = new Uint8Array(buffer, 4 + size, size);
  const pen = sized(canvas, width, height), image = pen.createImageData(width, height), pixels = image.data;
  for (let at = 0; at < size; at++) {
    const warm = on[at], cool = off[at], light = Math.max(warm, cool) / 255, sum = warm + cool || 1;
    for (let channel = 0; channel < 3; channel++) {
      const tint = (warm * WARM[channel] + cool * COOL[channel]) / sum;
      pixels[4 * at + channel] = BACK[channel] + light * (tint - BACK[channel]);
    }
    pixels[4 * at + 3] = 255;
  }
  pen.putImageData(image, 0, 0);
}

export function darken(canvas) {
  const pen = canvas.getContext("2d");
  pen.fillStyle = `rgb(${BACK.join()})`;
  pen.fillRect(0, 0, canvas.width, canvas.height);
}

// Weights around neutral: cool silences, warm strengthens.
export function drawWeights(canvas, weights, width, height, neutral, reach) {
  const pen = sized(canvas, width, height), image = pen.createImageData(width, height);
  weights.forEach((weight, at) => {
    const share = Math.max(-1, Math.min(1, (weight - neutral) / reach)), end = share < 0 ? COOL : WARM;
    for (let channel = 0; channel < 3; channel++)
      image.data[4 * at + channel] = BACK[channel] + Math.abs(share) * (end[channel] - BACK[channel]);
    image.data[4 * at + 3] = 255;
  });
  pen.putImageData(image, 0, 0);
}

export function mapOf({ levels, low, high }) {
  return Array.from(atob(levels), (letter) => low + (letter.charCodeAt(0) / 255) * (high - low));
}

function sized(canvas, width, height) {
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  return canvas.getContext("2d");
}
