// From the pixels of a photo to the input of the network, by the rules of the Python package: shrunk by
// averaging areas as OpenCV's INTER_AREA does, filled up with a border on the right and below.
// The canvas would shrink too, but each browser in its own way, and scores with it.

/** What a photo becomes when its longer side may have `limit` pixels: {columns, rows}. */
export function fit(width, height, limit) {
  const factor = Math.min(1, limit / Math.max(width, height));
  return {
    columns: Math.max(roundHalfEven(width * factor), 1),
    rows: Math.max(roundHalfEven(height * factor), 1),
  };
}

/** As Python rounds. */
function roundHalfEven(value) {
  const low = Math.floor(value);
  return value - low === 0.5 ? low + (low % 2) : Math.round(value);
}

/**
 * Input of the network: BGR, both sides filled up to a multiple.
 *
 * @param {Uint8ClampedArray} pixels RGBA of a photo, opaque.
 * @param {{columns: number, rows: number}} size What the photo takes of the input.
 * @param {number[]} border BGR of what is filled up.
 * @returns {{data: Uint8Array, width: number, height: number}}
 */
export function networkInput(pixels, { width, height }, { columns, rows }, { multiple, border }) {
  const seen = shrink(pixels, { width, height }, { columns, rows });
  const fullWidth = Math.ceil(columns / multiple) * multiple;
  const fullHeight = Math.ceil(rows / multiple) * multiple;
  const data = new Uint8Array(fullWidth * fullHeight * 3);
  for (let y = 0, to = 0; y < fullHeight; y++) {
    for (let x = 0; x < fullWidth; x++, to += 3) {
      const from = 4 * (y * columns + x);
      const inside = x < columns && y < rows;
      for (let c = 0; c < 3; c++) data[to + c] = inside ? seen[from + 2 - c] : border[c];
    }
  }
  return { data, width: fullWidth, height: fullHeight };
}

/**
 * A smaller picture, each pixel the mean of the area that it covers.
 *
 * @param {Uint8ClampedArray} pixels RGBA, opaque.
 * @returns {Uint8ClampedArray} RGBA; `pixels` itself where nothing changes.
 */
export function shrink(pixels, { width, height }, { columns, rows }) {
  if (columns === width && rows === height) return pixels;
  const across = shares(width, columns);
  const down = shares(height, rows);
  // OpenCV rounds halves up where it averages 2 × 2 pixels and to even elsewhere, as clamped arrays do
  const halfUp = width === 2 * columns && height === 2 * rows;
  const result = new Uint8ClampedArray(columns * rows * 4).fill(255);
  const sums = new Float32Array(columns * 3);
  for (let y = 0; y < rows; y++) {
    sums.fill(0);
    for (let j = down.starts[y]; j < down.starts[y + 1]; j++) {
      addRow(sums, pixels, down.sources[j] * width, across, down.shares[j]);
    }
    for (let x = 0, to = 4 * y * columns, i = 0; x < columns; x++, to += 4) {
      for (let c = 0; c < 3; c++, i++) result[to + c] = halfUp ? Math.floor(sums[i] + 0.5) : sums[i];
    }
  }
  return result;
}

/** Adds a row of the photo, shrunk to the width of `sums` and weighted. */
function addRow(sums, pixels, rowStart, { starts, sources, shares }, weight) {
  for (let x = 0, i = 0; i < sums.length; x++, i += 3) {
    let [red, green, blue] = [0, 0, 0];
    for (let j = starts[x]; j < starts[x + 1]; j++) {
      const from = 4 * (rowStart + sources[j]);
      const share = shares[j];
      red += share * pixels[from];
      green += share * pixels[from + 1];
      blue += share * pixels[from + 2];
    }
    sums[i] += weight * red;
    sums[i + 1] += weight * green;
    sums[i + 2] += weight * blue;
  }
}

/**
 * Which cells of a line of `from` cells make up each cell of a line of `to`, and with which share:
 * cell i is made of the entries starts[i] to starts[i + 1].
 */
function shares(from, to) {
  const scale = from / to;
  const starts = [0];
  const sources = [];
  const parts = [];
  for (let i = 0; i < to; i++) {
    const left = i * scale;
    const right = Math.min(left + scale, from);
    for (let cell = Math.floor(left); cell < right; cell++) {
      const covered = Math.min(cell + 1, right) - Math.max(cell, left);
      if (covered <= 1e-3) continue; // what rounding leaves over
      sources.push(cell);
      parts.push(covered / (right - left));
    }
    starts.push(sources.length);
  }
  return { starts: Int32Array.from(starts), sources: Int32Array.from(sources), shares: Float32Array.from(parts) };
}
