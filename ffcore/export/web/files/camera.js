// The camera as a source of pictures.

import { PictureError } from "./picture.js";

const REASONS = {
  NotFoundError: "No camera was found. Connect one, or choose a photo.",
  OverconstrainedError: "No camera was found. Connect one, or choose a photo.",
  NotAllowedError: "The browser may not use the camera. Allow it in the settings of this page, or choose a photo.",
  NotReadableError: "The camera is busy. Close the program that uses it, and try again.",
};

export class Camera {
  #video = document.createElement("video");
  #stream;

  /** Asks for the camera and starts it; a PictureError says why there is none. */
  static async open() {
    if (!navigator.mediaDevices) {
      throw new PictureError("Browsers give the camera to secure pages only. Open this page by https.");
    }
    const camera = new Camera();
    try {
      const wanted = { facingMode: "user", width: { ideal: 640 }, height: { ideal: 480 } };
      camera.#stream = await navigator.mediaDevices.getUserMedia({ video: wanted });
      camera.#video.srcObject = camera.#stream;
      camera.#video.muted = true;
      camera.#video.playsInline = true; // or phones would show it over the whole screen
      await camera.#video.play();
    } catch (error) {
      camera.close();
      throw new PictureError(REASONS[error.name] ?? `The camera does not start (${error.name}).`, { cause: error });
    }
    return camera;
  }

  /** The picture that it sees now, or null when it was closed or unplugged. */
  async frame() {
    if (!this.#stream?.active) return null;
    await new Promise((resolve) => setTimeout(resolve)); // lets the page react between two frames
    const image = await createImageBitmap(this.#video);
    return { name: "camera", image, width: image.width, height: image.height };
  }

  close() {
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#stream = undefined;
  }
}
