// The camera's picture, or its depth where no picture is published, with the room's edges on it.

import { inPicture } from "./geometry.js";

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
  figure.querySelector(".frame").style.setProperty("--shape", canvas.width / canvas.height);
  const view = viewOf(camera, info, canvas);
  figure.querySelector("figcaption").textContent = camera.picture
    ? `The camera's picture${view ? "; lines: where walls meet ceiling and floor" : ""}`
    : "Depth, near is bright; to see the camera's picture, have it published: picture in its configuration";
  if (view && camera.layout) window.state.edges = drawBoundary(canvas, context, camera.layout.boundary, view);
}

/** How the camera's picture comes about; null where that is not known. */
function viewOf({ depth, layout }, info, canvas) {
  if (!info) return null;
  const { projection, pose } = info;
  const rotation = pose?.rotation ?? depth?.pose?.rotation;
  if (!rotation || !layout) return null;
  if (projection === "equirectangular") return Math.abs(canvas.width / canvas.height - 2) < 0.02 ? { projection, rotation } : null; // else a part
  const given = depth?.lens || depth?.fisheye ? depth : (info.lens ?? info.fisheye) && { ...info, ...(info.lens ?? info.fisheye) };
  return given ? { projection, rotation, lens: given.lens, fisheye: given.fisheye, width_px: given.width_px, height_px: given.height_px } : null;
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

/** @returns how many of its points are in the picture */
function drawBoundary(canvas, context, { ceiling_rad, floor_rad }, view) {
  let seen = 0;
  for (const [latitudes, colour] of [[ceiling_rad, "#38d9a9"], [floor_rad, "#ff6b35"]]) {
    context.beginPath();
    let last = null;
    for (let i = 0; i <= latitudes.length; i++) {
      const latitude = latitudes[i % latitudes.length];
      const longitude = ((i + 0.5) / latitudes.length - 0.5) * 2 * Math.PI;
      const [flat, up] = latitude === null ? [] : [Math.cos(latitude), Math.sin(latitude)];
      const at = latitude === null ? null : inPicture([flat * Math.sin(longitude), flat * Math.cos(longitude), up], view);
      if (at && last && Math.abs(at[0] - last[0]) < 0.5) context.lineTo(at[0] * canvas.width, at[1] * canvas.height);
      else if (at) context.moveTo(at[0] * canvas.width, at[1] * canvas.height);
      if (at && Math.abs(at[0] - 0.5) <= 0.5 && Math.abs(at[1] - 0.5) <= 0.5) seen++;
      last = at;
    }
    context.strokeStyle = colour;
    context.lineWidth = Math.max(1, canvas.width / 400);
    context.stroke();
  }
  return seen;
}
