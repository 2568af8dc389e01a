// The text that `_pack.py` writes → a header and typed arrays.

const TYPES = {
  f4: Float32Array, f8: Float64Array, i4: Int32Array,
  u1: Uint8Array, u2: Uint16Array, u4: Uint32Array,
};

export async function unpack(base64) {
  const packed = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
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
