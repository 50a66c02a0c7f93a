// Photos from files, as something to show and as pixels for the network.

/** A photo that cannot be shown; the message is for people. */
export class PictureError extends Error {}

/**
 * A photo, upright.
 *
 * @typedef {{name: string, image: CanvasImageSource, width: number, height: number}} Picture
 */

/** Opens a file; gives the picture and its pixels. */
export async function openPicture(file) {
  const name = file.name || "the pasted picture";
  if (file.size === 0) throw new PictureError(`${name} is empty.`);
  try {
    // The network learnt from the numbers in the file, people see them through its colour profile.
    const [image, plain] = await Promise.all([
      createImageBitmap(file),
      createImageBitmap(file, { colorSpaceConversion: "none" }),
    ]);
    const { width, height } = image;
    const pixels = pixelsOf(plain, plain);
    plain.close();
    return { picture: { name, image, width, height }, pixels };
  } catch (error) {
    if (error instanceof PictureError) throw error;
    throw new PictureError(whyNot(file, name), { cause: error });
  }
}

/** What the network takes: RGBA, laid on white where transparent. */
export function pixelsOf(image, { width, height }) {
  const canvas = document.createElement("canvas");
  const context = paint(canvas, image, { width, height }, { willReadFrequently: true });
  try {
    return context.getImageData(0, 0, width, height);
  } catch (error) {
    const megapixels = Math.round((width * height) / 1e6);
    throw new PictureError(`A picture of ${megapixels} megapixels is too large for this browser.`, { cause: error });
  }
}

/** Draws an image onto a canvas of its size; gives the canvas' context. */
export function paint(canvas, image, { width, height }, options) {
  if (canvas.width !== width) canvas.width = width;
  if (canvas.height !== height) canvas.height = height;
  const context = canvas.getContext("2d", options);
  context.fillStyle = "white"; // below transparent pixels, as viewers show them
  context.fillRect(0, 0, width, height);
  context.drawImage(image, 0, 0, width, height);
  return context;
}

function whyNot({ type }, name) {
  if (type && !type.startsWith("image/")) return `${name} is no picture. Choose a JPEG, PNG or WebP file.`;
  if (/hei[cf]/.test(type) || /\.hei[cf]$/i.test(name)) {
    return `This browser cannot read ${name}. Save it as JPEG and try again.`;
  }
  return `${name} cannot be read. It may be damaged, or of a kind that this browser does not know.`;
}
