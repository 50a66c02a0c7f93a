// Faces made unrecognisable for good, as ffcore/images/anonymize.py does it: of a face remain a few
// averages, however large it is. A light blur could be undone.

import { shrink } from "./resize.js";

const SMOOTH_SIDE = 96; // a blurred face holds no more detail than this; the browser enlarges it

/**
 * Hides faces on a canvas.
 *
 * @param {CanvasRenderingContext2D} context Of the whole picture.
 * @param {Face[]} faces In pixels of the picture.
 * @param {"blur" | "pixelate" | "solid"} method
 * @param {{margin: number, cells: number, smallest_cell: number}} rules
 */
export function hideFaces(context, faces, method, rules) {
  for (const { box } of faces) hideFace(context, region(box, rules.margin), method, rules);
}

/** The enlarged box in whole pixels. */
function region([x1, y1, x2, y2], margin) {
  const dx = (x2 - x1) * margin;
  const dy = (y2 - y1) * margin;
  const left = Math.floor(x1 - dx);
  const top = Math.floor(y1 - dy);
  return { left, top, right: Math.max(left + 1, Math.ceil(x2 + dx)), bottom: Math.max(top + 1, Math.ceil(y2 + dy)) };
}

function hideFace(context, { left, top, right, bottom }, method, rules) {
  const { canvas } = context;
  const [x, y] = [Math.max(left, 0), Math.max(top, 0)];
  const width = Math.min(right, canvas.width) - x;
  const height = Math.min(bottom, canvas.height) - y;
  if (width <= 0 || height <= 0) return;
  context.save();
  context.beginPath();
  context.ellipse((left + right) / 2, (top + bottom) / 2, (right - left) / 2, (bottom - top) / 2, 0, 0, 2 * Math.PI);
  context.clip();
  if (method === "solid") {
    context.fillStyle = "black";
    context.fillRect(x, y, width, height);
  } else {
    const few = averages(context, { x, y, width, height }, rules);
    context.imageSmoothingEnabled = method === "blur";
    context.drawImage(onCanvas(method === "blur" ? smoothed(few) : few), x, y, width, height);
  }
  context.restore();
}

/** The few colours that remain, as ImageData. */
function averages(context, { x, y, width, height }, { cells, smallest_cell }) {
  const cell = Math.max(smallest_cell, Math.max(width, height) / cells);
  const columns = Math.max(1, Math.floor(width / cell));
  const rows = Math.max(1, Math.floor(height / cell));
  // of what is on the canvas: where faces overlap, nothing comes back
  const { data } = context.getImageData(x, y, width, height);
  return new ImageData(shrink(data, { width, height }, { columns, rows }), columns, rows);
}

/** A picture enlarged without seams between its cells, by cubic B-splines. */
function smoothed({ data, width, height }) {
  const factor = SMOOTH_SIDE / Math.max(width, height);
  const [columns, rows] = [Math.round(width * factor), Math.round(height * factor)];
  const across = splines(width, columns);
  const down = splines(height, rows);
  const result = new ImageData(columns, rows);
  for (let y = 0; y < rows; y++) {
    for (let x = 0; x < columns; x++) {
      const to = 4 * (y * columns + x);
      result.data[to + 3] = 255;
      for (let c = 0; c < 3; c++) {
        let sum = 0;
        for (const [row, v] of down[y]) for (const [column, u] of across[x]) sum += v * u * data[4 * (row * width + column) + c];
        result.data[to + c] = sum;
      }
    }
  }
  return result;
}

/** For each of `to` places along `from` cells: four cells and their weights. */
function splines(from, to) {
  return Array.from({ length: to }, (_, i) => {
    const place = ((i + 0.5) * from) / to - 0.5;
    const t = place - Math.floor(place);
    const weights = [(1 - t) ** 3, 3 * t ** 3 - 6 * t ** 2 + 4, -3 * t ** 3 + 3 * t ** 2 + 3 * t + 1, t ** 3];
    return weights.map((weight, k) => {
      const cell = Math.floor(place) - 1 + k;
      return [Math.min(Math.max(cell, 0), from - 1), weight / 6];
    });
  });
}

function onCanvas(pixels) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [pixels.width, pixels.height];
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}
