// 16-bit grey PNG (RFC 2083): a canvas would give eight of the bits.

/** @returns {Promise<{width: number, height: number, counts: Uint16Array}>} */
export async function decodePng16(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const parts = [];
  let width = 0;
  let height = 0;
  for (let at = 8; at + 8 <= bytes.length; ) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (kind === "IHDR") {
      width = view.getUint32(at + 8);
      height = view.getUint32(at + 12);
      if (bytes[at + 16] !== 16 || bytes[at + 17] !== 0) throw new Error("not a 16-bit grey PNG");
    } else if (kind === "IDAT") {
      parts.push(bytes.subarray(at + 8, at + 8 + length));
    }
    at += 12 + length;
  }
  const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream("deflate"));
  const raw = new Uint8Array(await new Response(stream).arrayBuffer());
  return { width, height, counts: unfiltered(raw, width, height) };
}

function unfiltered(raw, width, height) {
  const stride = width * 2;
  let above = new Uint8Array(stride);
  const counts = new Uint16Array(width * height);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (stride + 1)];
    const row = raw.subarray(y * (stride + 1) + 1, (y + 1) * (stride + 1));
    for (let x = 0; x < stride; x++) {
      const left = x >= 2 ? row[x - 2] : 0;
      const up = above[x];
      const corner = x >= 2 ? above[x - 2] : 0;
      if (filter === 1) row[x] += left;
      else if (filter === 2) row[x] += up;
      else if (filter === 3) row[x] += (left + up) >> 1;
      else if (filter === 4) row[x] += paeth(left, up, corner);
    }
    for (let x = 0; x < width; x++) counts[y * width + x] = (row[2 * x] << 8) | row[2 * x + 1];
    above = row;
  }
  return counts;
}

function paeth(left, up, corner) {
  const guess = left + up - corner;
  const [a, b, c] = [Math.abs(guess - left), Math.abs(guess - up), Math.abs(guess - corner)];
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}
