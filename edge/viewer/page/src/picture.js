// The camera's picture, or its depth where no picture is published, with the room's edges on it.

/** @returns whether there was anything to draw */
export async function drawPicture(figure, camera, info) {
  const canvas = figure.querySelector("canvas");
  const context = canvas.getContext("2d");
  if (camera.picture) {
    const bitmap = await createImageBitmap(new Blob([camera.picture], { type: "image/jpeg" }));
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
  } else if (camera.grey) drawDepth(canvas, context, camera.grey);
  else return;
  const panorama = info?.projection === "equirectangular";
  figure.querySelector("figcaption").textContent = camera.picture
    ? `The camera's picture${panorama ? "; lines: where walls meet ceiling and floor" : ""}`
    : "Depth, near is bright; to see the camera's picture, have it published: picture in its configuration";
  if (panorama && camera.layout) drawBoundary(canvas, context, camera.layout.boundary);
}

function drawDepth(canvas, context, { width, height, counts }) {
  [canvas.width, canvas.height] = [width, height];
  const image = context.createImageData(width, height);
  const sorted = counts.filter((c) => c).sort();
  const [near, far] = [sorted[Math.floor(sorted.length * 0.02)] || 1, sorted[Math.floor(sorted.length * 0.98)] || 2];
  counts.forEach((count, i) => {
    const t = count ? Math.min(1, Math.max(0, 1 - (count - near) / (far - near))) : 0;
    image.data.set([255 * t ** 1.4, 40 + 190 * t, 90 + 120 * (1 - Math.abs(2 * t - 1)), count ? 255 : 0], i * 4);
  });
  context.putImageData(image, 0, 0);
}

function drawBoundary(canvas, context, { ceiling_rad, floor_rad }) {
  for (const [latitudes, colour] of [[ceiling_rad, "#38d9a9"], [floor_rad, "#ff6b35"]]) {
    context.beginPath();
    let pen = false;
    latitudes.forEach((latitude, i) => {
      if (latitude === null) pen = false;
      else {
        const [x, y] = [((i + 0.5) / latitudes.length) * canvas.width, (0.5 - latitude / Math.PI) * canvas.height];
        pen ? context.lineTo(x, y) : context.moveTo(x, y);
        pen = true;
      }
    });
    context.strokeStyle = colour;
    context.lineWidth = Math.max(1, canvas.width / 400);
    context.stroke();
  }
}
