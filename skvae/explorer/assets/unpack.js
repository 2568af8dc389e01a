// The text that `_pack.py` writes → a header and typed arrays.

const TYPES = {
  f4: Float32Array, f8: Float64Array, i1: Int8Array, i4: Int32Array,
  u1: Uint8Array, u2: Uint16Array, u4: Uint32Array,
};

function bytesOf(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

export async function unpack(base64) {
  const packed = bytesOf(base64);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  const bytes = await new Response(stream).arrayBuffer();
  const start = 4 + new DataView(bytes).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, start - 4)));
  const arrays = header.arrays.map(([type, shape, place]) => ({
    data: new TYPES[type](bytes, start + place, shape.reduce((a, b) => a * b, 1)),
    shape,
  }));
  return { header, arrays };
}
