// The page: from what the visitor does to what is shown.

import { Camera } from "./camera.js";
import { Detector, DetectorError } from "./detector.js";
import { facesAbove } from "./faces.js";
import { hideFaces } from "./hide.js";
import { drawFaces } from "./overlay.js";
import { openPicture, paint, PictureError, pixelsOf } from "./picture.js";
import { download, nameFor, record } from "./record.js";

const at = Object.fromEntries([...document.querySelectorAll("[id]")].map((element) => [element.id, element]));

const settings = await (await fetch("settings.json")).json();

let detector = startDetector("wasm");
let camera = null;
let shown = null; // {picture, found} of what is on the page; found is null while the network runs
let newest = 0; // number of the photo that was asked for last

prepare();

function prepare() {
  at.score.min = settings.lowest_score;
  at.score.max = Math.max(0.95, settings.score);
  at.score.value = settings.score;
  at["score-value"].textContent = settings.score.toFixed(2);
  at.about.textContent = settings.about;

  at.choose.onclick = () => at.file.click();
  at.file.onchange = () => {
    if (at.file.files.length) showFile(at.file.files[0]);
    at.file.value = ""; // so that the same file can be chosen again
  };
  at.camera.onclick = () => (camera ? stopCamera() : runCamera());
  at.score.oninput = () => {
    at["score-value"].textContent = Number(at.score.value).toFixed(2);
    render();
  };
  at.hide.onchange = render;
  at.save.onclick = savePicture;
  at.json.onclick = saveFaces;
  at.on.onchange = changeDevice;
  document.onpaste = ({ clipboardData }) => {
    const [file] = clipboardData.files;
    if (file) showFile(file);
    else say("There is no picture to paste. Copy one first.");
  };
  prepareDropping();
  new ResizeObserver(() => shown && drawOverlay()).observe(at.overlay);
  offerGraphics();
}

function prepareDropping() {
  const mark = (on) => document.body.classList.toggle("dropping", on);
  document.ondragover = (event) => {
    event.preventDefault(); // or the browser would leave the page for the photo
    mark(true);
  };
  document.ondragleave = (event) => {
    if (!event.relatedTarget) mark(false); // it left the window, not only an element
  };
  document.ondrop = (event) => {
    event.preventDefault();
    mark(false);
    const [file] = event.dataTransfer.files;
    if (file) showFile(file);
    else say("That was no file. Save the picture first, then drop it here.");
  };
}

/** Starts the detector and says so; the promise of it. */
function startDetector(on) {
  say(`Loading the detector (${(settings.runtimes[on].bytes / 1e6).toFixed(1)} MB, once) …`);
  const starting = Detector.start(settings, on);
  starting.then(() => (shown ? render() : say("Ready. Choose, drop or paste a photo.")), explain);
  return starting;
}

/** Finds the faces of a file. */
async function showFile(file) {
  stopCamera();
  const number = ++newest;
  try {
    const { picture, pixels } = await openPicture(file);
    if (number !== newest) return;
    show(picture, null);
    say("Looking for faces …");
    const found = await (await detector).detect(pixels);
    if (number !== newest) return; // another photo came meanwhile
    show(picture, found);
  } catch (error) {
    if (number === newest) explain(error);
  }
}

/** Finds faces in what the camera sees until it is stopped; the last frame stays as a photo. */
async function runCamera() {
  const number = ++newest;
  try {
    say("Starting the camera …");
    const opened = await Camera.open();
    if (number !== newest) return opened.close();
    camera = opened;
    showCameraState("Stop and keep the picture");
    say("The camera is on.");
    for (let picture; (picture = await camera?.frame()); ) {
      const found = await (await detector).detect(pixelsOf(picture.image, picture));
      if (number !== newest || !camera) break;
      show(picture, found);
    }
  } catch (error) {
    if (number === newest) explain(error);
  }
  if (number === newest) stopCamera();
}

function stopCamera() {
  if (!camera) return;
  camera.close();
  camera = null;
  showCameraState("Use the camera");
  render();
}

function showCameraState(words) {
  at.camera.textContent = words;
  at.camera.classList.toggle("main", camera !== null);
}

/** Puts a picture on the page, with everything that was found in it once that is known. */
function show(picture, found) {
  if (shown && shown.picture !== picture) shown.picture.image.close();
  shown = { picture, found };
  at.empty.hidden = true;
  at.frame.hidden = false;
  render();
}

/** Brings the page up to date with the picture, the score and the choice of hiding. No network is run. */
function render() {
  if (!shown) return;
  const { picture, found } = shown;
  const faces = currentFaces();
  const method = hiding();
  const context = paint(at.picture, picture.image, picture, { willReadFrequently: true });
  if (method) hideFaces(context, faces, method, settings.hide);
  at.frame.classList.toggle("hiding", method !== "");
  drawOverlay();
  at.save.disabled = !found || !method;
  at.json.disabled = !found;
  at.list.hidden = faces.length === 0 || camera !== null;
  if (!found) return;
  const count = countOf(faces);
  at.picture.setAttribute("aria-label", `${picture.name}: ${count}`);
  at.time.textContent = `${picture.width} × ${picture.height} pixels, ${Math.round(found.milliseconds)} ms`;
  if (!camera) say(`${count}${method && faces.length ? ", hidden" : ""}.`); // said once a photo, not once a frame
  if (!camera) listFaces(faces);
}

function countOf({ length }) {
  return length === 0 ? "No faces" : length === 1 ? "1 face" : `${length} faces`;
}

function currentFaces() {
  return shown?.found ? facesAbove(shown.found, Number(at.score.value), settings) : [];
}

function hiding() {
  return at.hide.querySelector(":checked").value;
}

function drawOverlay() {
  if (hiding()) at.overlay.replaceChildren();
  else drawFaces(at.overlay, currentFaces(), shown.picture);
}

/** The faces in words, for those who cannot see them; pointing at one marks it in the photo. */
function listFaces(faces) {
  at.faces.replaceChildren(
    ...faces.map(({ box: [x1, y1, x2, y2], score }, i) => {
      const item = document.createElement("li");
      item.tabIndex = 0;
      item.textContent = `score ${score.toFixed(2)}, ${Math.round(x2 - x1)} × ${Math.round(y2 - y1)} pixels`;
      const mark = (on) => at.overlay.querySelector(`[data-face="${i}"]`)?.classList.toggle("marked", on);
      item.onfocus = item.onmouseenter = () => mark(true);
      item.onblur = item.onmouseleave = () => mark(false);
      return item;
    }),
  );
}

async function savePicture() {
  const { picture } = shown;
  const blob = await new Promise((resolve) => at.picture.toBlob(resolve, "image/jpeg", 0.95));
  if (blob) download(blob, nameFor(picture, "hidden.jpg"));
  else say("The picture is too large for this browser to save.");
}

function saveFaces() {
  const content = JSON.stringify(record(shown.picture, currentFaces(), settings.landmarks), null, 1);
  download(new Blob([content], { type: "application/json" }), nameFor(shown.picture, "faces.json"));
}

/** Offers the graphics chip where the browser has it; its runtime is only fetched when it is chosen. */
async function offerGraphics() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  at.compute.hidden = !adapter || !settings.runtimes.webgpu;
}

async function changeDevice() {
  const before = detector;
  detector = startDetector(at.on.value);
  (await before.catch(() => null))?.stop();
}

function say(words) {
  if (at.status.textContent !== words) at.status.textContent = words;
  at.status.classList.remove("problem");
}

function explain(error) {
  if (error instanceof PictureError) say(error.message);
  else if (error instanceof DetectorError) {
    say(`The detector does not run here: ${error.message}. Reload the page; if that does not help, update the browser.`);
  } else throw error;
  at.status.classList.add("problem");
}
