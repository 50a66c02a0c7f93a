// Boxes, landmarks and scores over the picture, as SVG: sharp at every size, and each face can be pointed at.

const LANDMARK_COUNT = 5;
const LABEL_FROM = 28; // a smaller face, in pixels of the screen, would vanish below its score
const LANDMARKS_FROM = 14;

/**
 * Shows the faces of a picture.
 *
 * @param {SVGSVGElement} svg Lies over the picture and has its size on the screen.
 * @param {Face[]} faces In pixels of the picture.
 */
export function drawFaces(svg, faces, { width, height }) {
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const pixel = scaleToScreen(svg);
  // the surest on top
  svg.replaceChildren(...faces.map((face, i) => drawFace(face, i, pixel)).reverse());
}

/** Lines and letters keep their size on the screen; gives the pixels of the picture in one of the screen. */
function scaleToScreen(svg) {
  const pixel = svg.viewBox.baseVal.width / (svg.getBoundingClientRect().width || 1);
  svg.style.setProperty("--pixel", `${pixel}px`);
  return pixel;
}

function drawFace({ box: [x1, y1, x2, y2], score, landmarks }, index, pixel) {
  const side = Math.min(x2 - x1, y2 - y1) / pixel;
  const group = make("g", { class: "face", "data-face": index });
  group.append(make("rect", { class: "rim", x: x1, y: y1, width: x2 - x1, height: y2 - y1 }));
  group.append(make("rect", { class: "box", x: x1, y: y1, width: x2 - x1, height: y2 - y1 }));
  if (side >= LANDMARKS_FROM) {
    for (let i = 0; i < LANDMARK_COUNT; i++) {
      const [cx, cy] = landmarks[i];
      const r = Math.min(Math.max(side / 50, 1.5), 4) * pixel;
      group.append(make("circle", { class: `landmark point-${i}`, cx, cy, r }));
    }
  }
  if (side >= LABEL_FROM) {
    const text = make("text", { x: Math.max(x1, 0), y: Math.max(y1, 18 * pixel) });
    text.textContent = score.toFixed(2);
    group.append(text);
  }
  return group;
}

function make(name, attributes) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
