// Which faces a photo has at a score: the end of detection, so that the slider needs no network.
// The rules are those of the Python package, ffcore/detection/detector.py.

/**
 * @typedef {{box: number[], score: number, landmarks: number[][]}} Face
 *   box: x1 y1 x2 y2 in pixels of the photo; landmarks: five x y.
 */

/**
 * The faces above a score, best first.
 *
 * Non-maximum suppression goes from the best face down, so what it keeps above a score does not depend on
 * what lies below: it was done once, with the lowest score.
 *
 * @param {{near: Face[], afar: Face[] | null}} found Of the look at the photo, and of a second one at a small
 *   scale, which only large photos get.
 */
export function facesAbove({ near, afar }, score, { nms, max_faces, pieces }) {
  const least = Math.fround(score); // scores are 32-bit numbers
  const above = (faces) => faces.filter((face) => face.score > least);
  if (afar === null) return above(near);
  const large = above(afar);
  const whole = above(near).filter((face) => !large.some((other) => isPiece(face, other, pieces)));
  return suppressed([...whole, ...large], nms, max_faces);
}

/** Whether a face is a piece of a large one: too near, a network takes an eye for a face. */
function isPiece(face, large, { inside, area, score }) {
  const covered = shared(face.box, large.box, 0) / areaOf(face.box, 0);
  return (
    covered > inside && areaOf(face.box, 0) < area * areaOf(large.box, 0) && large.score >= score * face.score
  );
}

/** Greedy non-maximum suppression; a side is x2 - x1 + 1, as published. */
function suppressed(faces, threshold, limit) {
  const kept = [];
  for (const face of faces.toSorted((a, b) => b.score - a.score)) {
    if (kept.length === limit) break;
    if (!kept.some((better) => overlap(face.box, better.box) > threshold)) kept.push(face);
  }
  return kept;
}

function overlap(a, b) {
  const both = shared(a, b, 1);
  return both / (areaOf(a, 1) + areaOf(b, 1) - both);
}

function shared(a, b, extra) {
  const width = Math.min(a[2], b[2]) - Math.max(a[0], b[0]) + extra;
  const height = Math.min(a[3], b[3]) - Math.max(a[1], b[1]) + extra;
  return Math.max(width, 0) * Math.max(height, 0);
}

function areaOf([x1, y1, x2, y2], extra) {
  return Math.max(x2 - x1 + extra, 0) * Math.max(y2 - y1 + extra, 0);
}
