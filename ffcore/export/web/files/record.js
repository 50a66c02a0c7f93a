// Results as files: the JSON that `featherface detect --json` writes, and pictures.

/** One picture and its faces; coordinates are pixels of the picture. */
export function record({ name, width, height }, faces, landmarkNames) {
  return {
    image: name,
    width,
    height,
    faces: faces.map(({ box, score, landmarks }) => ({
      box: box.map(short),
      score: short(score),
      landmarks: Object.fromEntries(landmarkNames.map((key, i) => [key, landmarks[i].map(short)])),
    })),
  };
}

/** The number with the fewest digits that is the same in 32 bits, so that 12.3 is not 12.300000190734863. */
function short(value) {
  const wanted = Math.fround(value);
  for (let digits = 1; digits < 9; digits++) {
    const text = wanted.toPrecision(digits);
    if (Math.fround(text) === wanted) return Number(text);
  }
  return Number(wanted.toPrecision(9));
}

/** `photo.heic` as `photo-faces.json`. */
export function nameFor(picture, ending) {
  return `${picture.name.replace(/\.[^.]*$/, "").replaceAll(/\s+/g, "-") || "photo"}-${ending}`;
}

/** Hands a file to the visitor. */
export function download(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000); // some browsers read it only after the click
}
