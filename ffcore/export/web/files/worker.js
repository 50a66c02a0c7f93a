// Runs the network beside the page, which stays responsive. Told to start once, then given photo after photo.

import { fit, networkInput } from "./resize.js";

let ort;
let session;
let settings;
let last = Promise.resolve(); // a session runs one photo at a time

const tasks = { start, detect };

self.onmessage = ({ data: { id, task, ...given } }) => {
  last = last
    .then(() => tasks[task](given))
    .then((answer) => self.postMessage({ id, answer }))
    .catch((error) => self.postMessage({ id, error: `${error?.message ?? error}` }));
};

/** Loads runtime and network. `on` is "wasm" or "webgpu", an entry of the settings' runtimes. */
async function start({ on, ...known }) {
  settings = known.settings;
  const runtime = settings.runtimes[on];
  const [loaded, binary, model] = await Promise.all([
    import(new URL(runtime.script, import.meta.url).href),
    unpacked(runtime.binary),
    unpacked(settings.model),
  ]);
  ort = loaded;
  ort.env.logLevel = "error";
  ort.env.wasm.wasmBinary = binary;
  ort.env.wasm.numThreads = 1; // more would need headers that static hosts do not send
  session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: [on] });
}

/** A file that lies packed at the host, since not every host packs what it sends. */
async function unpacked(name) {
  const response = await fetch(new URL(name, import.meta.url));
  if (!response.ok) throw new Error(`${name} is missing at the host (${response.status})`);
  const content = new Uint8Array(await response.arrayBuffer());
  const packed = content[0] === 0x1f && content[1] === 0x8b; // some hosts have the browser unpack .gz files
  if (!packed) return content.buffer;
  const stream = new Blob([content]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/**
 * All faces of a photo down to the lowest score, in pixels of the photo.
 *
 * @param {{data: Uint8ClampedArray, width: number, height: number}} photo RGBA, opaque.
 * @returns {{near: Face[], afar: Face[] | null, milliseconds: number}} See facesAbove.
 */
async function detect({ photo }) {
  const begin = performance.now();
  const first = fit(photo.width, photo.height, settings.max_side);
  const near = await look(photo, first);
  let afar = null;
  if (Math.max(first.columns, first.rows) > settings.close_up.from) {
    const smallest = settings.close_up.face / (first.rows / photo.height);
    const second = fit(photo.width, photo.height, settings.close_up.side);
    afar = (await look(photo, second)).filter(({ box }) => box[3] - box[1] >= smallest);
  }
  return { near, afar, milliseconds: performance.now() - begin };
}

/** The faces that the network finds in a photo at a size. */
async function look(photo, size) {
  const input = networkInput(photo.data, photo, size, settings);
  const image = new ort.Tensor("uint8", input.data, [input.height, input.width, 3]);
  const outputs = await session.run({ image });
  const [boxes, scores, landmarks] = await Promise.all(
    ["boxes", "scores", "landmarks"].map((name) => outputs[name].getData()),
  );
  const factor = [photo.width / size.columns, photo.height / size.rows];
  const toPhoto = (value, i) => value * factor[i % 2];
  return Array.from(scores, (score, n) => {
    const points = Array.from(landmarks.subarray(10 * n, 10 * n + 10), toPhoto);
    return {
      box: Array.from(boxes.subarray(4 * n, 4 * n + 4), toPhoto),
      score,
      landmarks: [0, 2, 4, 6, 8].map((i) => points.slice(i, i + 2)),
    };
  });
}
