// The network as the page sees it: a promise of faces for each photo.

/** Something that went wrong while the detector was fetched or run. */
export class DetectorError extends Error {}

export class Detector {
  #worker;
  #waiting = new Map();
  #count = 0;

  constructor() {
    // A worker from a blob is bound by the security policy of the page; one from a file would only be bound by
    // headers, which a static host does not send.
    const source = `import ${JSON.stringify(new URL("worker.js", import.meta.url).href)};`;
    const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    this.#worker = new Worker(address, { type: "module" });
    this.#worker.onmessage = ({ data }) => this.#settle(data);
    this.#worker.onerror = () => this.#fail("its script could not be loaded");
  }

  /** Fetches runtime and network; `on` is "wasm" or "webgpu". */
  static async start(settings, on) {
    const detector = new Detector();
    await detector.#ask({ task: "start", settings, on });
    return detector;
  }

  /** Everything that may be a face in a photo; see facesAbove. The pixels of `photo` are gone afterwards. */
  detect(photo) {
    const { data, width, height } = photo;
    return this.#ask({ task: "detect", photo: { data, width, height } }, [data.buffer]);
  }

  stop() {
    this.#worker.terminate();
  }

  #ask(message, transfer = []) {
    const id = this.#count++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, ...message }, transfer);
    });
  }

  #settle({ id, answer, error }) {
    const { resolve, reject } = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error === undefined) resolve(answer);
    else reject(new DetectorError(error));
  }

  #fail(reason) {
    for (const { reject } of this.#waiting.values()) reject(new DetectorError(reason));
    this.#waiting.clear();
  }
}
