/**
 * ChaCha20-Poly1305 (RFC 8439) without node:crypto, for simulations: of a datagram's few hundred bytes the real one takes several times
 * as long, nearly all of it before the first byte. The same bytes come out. Not for real keys: nobody has looked at what its timing tells.
 */

const tagBytes = 16;
const blockBytes = 64;
const rotate = (value: number, by: number): number => (value << by) | (value >>> (32 - by));
const word = (bytes: Uint8Array, at: number): number =>
  (bytes[at] as number) |
  ((bytes[at + 1] as number) << 8) |
  ((bytes[at + 2] as number) << 16) |
  ((bytes[at + 3] as number) << 24);

/** The state of section 2.3, and the block that it gives, in the machine's order of bytes: the little end first. */
const state = new Int32Array(16);
const block = new Int32Array(16);
const stream = new Uint8Array(block.buffer);
state.set([0x61707865, 0x3320646e, 0x79622d32, 0x6b206574]);

/** The next block of the key stream. In local variables: four times as fast as in an array. */
function nextBlock(): void {
  let x0 = state[0] as number;
  let x1 = state[1] as number;
  let x2 = state[2] as number;
  let x3 = state[3] as number;
  let x4 = state[4] as number;
  let x5 = state[5] as number;
  let x6 = state[6] as number;
  let x7 = state[7] as number;
  let x8 = state[8] as number;
  let x9 = state[9] as number;
  let x10 = state[10] as number;
  let x11 = state[11] as number;
  let x12 = state[12] as number;
  let x13 = state[13] as number;
  let x14 = state[14] as number;
  let x15 = state[15] as number;
  for (let round = 0; round < 20; round += 2) {
    x0 = (x0 + x4) | 0;
    x12 = rotate(x12 ^ x0, 16);
    x8 = (x8 + x12) | 0;
    x4 = rotate(x4 ^ x8, 12);
    x0 = (x0 + x4) | 0;
    x12 = rotate(x12 ^ x0, 8);
    x8 = (x8 + x12) | 0;
    x4 = rotate(x4 ^ x8, 7);
    x1 = (x1 + x5) | 0;
    x13 = rotate(x13 ^ x1, 16);
    x9 = (x9 + x13) | 0;
    x5 = rotate(x5 ^ x9, 12);
    x1 = (x1 + x5) | 0;
    x13 = rotate(x13 ^ x1, 8);
    x9 = (x9 + x13) | 0;
    x5 = rotate(x5 ^ x9, 7);
    x2 = (x2 + x6) | 0;
    x14 = rotate(x14 ^ x2, 16);
    x10 = (x10 + x14) | 0;
    x6 = rotate(x6 ^ x10, 12);
    x2 = (x2 + x6) | 0;
    x14 = rotate(x14 ^ x2, 8);
    x10 = (x10 + x14) | 0;
    x6 = rotate(x6 ^ x10, 7);
    x3 = (x3 + x7) | 0;
    x15 = rotate(x15 ^ x3, 16);
    x11 = (x11 + x15) | 0;
    x7 = rotate(x7 ^ x11, 12);
    x3 = (x3 + x7) | 0;
    x15 = rotate(x15 ^ x3, 8);
    x11 = (x11 + x15) | 0;
    x7 = rotate(x7 ^ x11, 7);
    x0 = (x0 + x5) | 0;
    x15 = rotate(x15 ^ x0, 16);
    x10 = (x10 + x15) | 0;
    x5 = rotate(x5 ^ x10, 12);
    x0 = (x0 + x5) | 0;
    x15 = rotate(x15 ^ x0, 8);
    x10 = (x10 + x15) | 0;
    x5 = rotate(x5 ^ x10, 7);
    x1 = (x1 + x6) | 0;
    x12 = rotate(x12 ^ x1, 16);
    x11 = (x11 + x12) | 0;
    x6 = rotate(x6 ^ x11, 12);
    x1 = (x1 + x6) | 0;
    x12 = rotate(x12 ^ x1, 8);
    x11 = (x11 + x12) | 0;
    x6 = rotate(x6 ^ x11, 7);
    x2 = (x2 + x7) | 0;
    x13 = rotate(x13 ^ x2, 16);
    x8 = (x8 + x13) | 0;
    x7 = rotate(x7 ^ x8, 12);
    x2 = (x2 + x7) | 0;
    x13 = rotate(x13 ^ x2, 8);
    x8 = (x8 + x13) | 0;
    x7 = rotate(x7 ^ x8, 7);
    x3 = (x3 + x4) | 0;
    x14 = rotate(x14 ^ x3, 16);
    x9 = (x9 + x14) | 0;
    x4 = rotate(x4 ^ x9, 12);
    x3 = (x3 + x4) | 0;
    x14 = rotate(x14 ^ x3, 8);
    x9 = (x9 + x14) | 0;
    x4 = rotate(x4 ^ x9, 7);
  }
  block[0] = x0 + (state[0] as number);
  block[1] = x1 + (state[1] as number);
  block[2] = x2 + (state[2] as number);
  block[3] = x3 + (state[3] as number);
  block[4] = x4 + (state[4] as number);
  block[5] = x5 + (state[5] as number);
  block[6] = x6 + (state[6] as number);
  block[7] = x7 + (state[7] as number);
  block[8] = x8 + (state[8] as number);
  block[9] = x9 + (state[9] as number);
  block[10] = x10 + (state[10] as number);
  block[11] = x11 + (state[11] as number);
  block[12] = x12 + (state[12] as number);
  block[13] = x13 + (state[13] as number);
  block[14] = x14 + (state[14] as number);
  block[15] = x15 + (state[15] as number);
  state[12] = (state[12] as number) + 1;
}

/** Poly1305 (section 2.5) in six limbs of 22 bits: their products, and six of those together, are exact in a double. */
const limb = 2 ** 22;
const perLimb = 2 ** -22;
/** r; and 20 r, for what passes 2^132, which is 20 modulo 2^130 - 5. */
const r = new Float64Array(12);
const h = new Float64Array(6);
const rest = new Uint8Array(tagBytes);

/** Adds 16 bytes with a one behind them, and multiplies. Behind the end there are zeros. */
function take(bytes: Uint8Array, at: number, end: number): void {
  if (at + tagBytes > end) {
    rest.fill(0);
    for (let byte = at; byte < end; byte++) rest[byte - at] = bytes[byte] as number;
    take(rest, 0, tagBytes);
    return;
  }
  const a = word(bytes, at);
  const b = word(bytes, at + 4);
  const c = word(bytes, at + 8);
  const d = word(bytes, at + 12);
  const r0 = r[0] as number;
  const r1 = r[1] as number;
  const r2 = r[2] as number;
  const r3 = r[3] as number;
  const r4 = r[4] as number;
  const r5 = r[5] as number;
  const r7 = r[7] as number;
  const r8 = r[8] as number;
  const r9 = r[9] as number;
  const r10 = r[10] as number;
  const r11 = r[11] as number;
  const h0 = (h[0] as number) + (a & 0x3fffff);
  const h1 = (h[1] as number) + ((a >>> 22) | ((b & 0xfff) << 10));
  const h2 = (h[2] as number) + ((b >>> 12) | ((c & 0x3) << 20));
  const h3 = (h[3] as number) + ((c >>> 2) & 0x3fffff);
  const h4 = (h[4] as number) + ((c >>> 24) | ((d & 0x3fff) << 8));
  const h5 = (h[5] as number) + ((d >>> 14) | 0x40000);
  const d0 = h0 * r0 + h1 * r11 + h2 * r10 + h3 * r9 + h4 * r8 + h5 * r7;
  const d1 = h0 * r1 + h1 * r0 + h2 * r11 + h3 * r10 + h4 * r9 + h5 * r8 + Math.floor(d0 * perLimb);
  const d2 = h0 * r2 + h1 * r1 + h2 * r0 + h3 * r11 + h4 * r10 + h5 * r9 + Math.floor(d1 * perLimb);
  const d3 = h0 * r3 + h1 * r2 + h2 * r1 + h3 * r0 + h4 * r11 + h5 * r10 + Math.floor(d2 * perLimb);
  const d4 = h0 * r4 + h1 * r3 + h2 * r2 + h3 * r1 + h4 * r0 + h5 * r11 + Math.floor(d3 * perLimb);
  const d5 = h0 * r5 + h1 * r4 + h2 * r3 + h3 * r2 + h4 * r1 + h5 * r0 + Math.floor(d4 * perLimb);
  const over = Math.floor(d5 * perLimb);
  const lowest = d0 - Math.floor(d0 * perLimb) * limb + 20 * over;
  const carried = Math.floor(lowest * perLimb);
  h[0] = lowest - carried * limb;
  h[1] = d1 - Math.floor(d1 * perLimb) * limb + carried;
  h[2] = d2 - Math.floor(d2 * perLimb) * limb;
  h[3] = d3 - Math.floor(d3 * perLimb) * limb;
  h[4] = d4 - Math.floor(d4 * perLimb) * limb;
  h[5] = d5 - over * limb;
}

function takeAll(bytes: Uint8Array, end: number): void {
  for (let at = 0; at < end; at += tagBytes) take(bytes, at, end);
}

/** Carries from the lowest limb to the highest, whose first 20 bits are the number's last; gives what is above them. */
function carry(more: number): number {
  let over = more;
  for (let at = 0; at < 6; at++) {
    const sum = (h[at] as number) + over;
    const size = at === 5 ? 2 ** 20 : limb;
    over = Math.floor(sum / size);
    h[at] = sum - over * size;
  }
  return over;
}

/** Whether the sum is not below 2^130 - 5: with 5 more it passes 2^130. */
function passes(): boolean {
  let over = 5;
  for (let at = 0; at < 6; at++) over = Math.floor(((h[at] as number) + over) / (at === 5 ? 2 ** 20 : limb));
  return over > 0;
}

/** The tag: the sum less the modulus where it is not below that, plus the one-time key's second half. */
function finish(out: Buffer, at: number, s: readonly number[]): void {
  for (let over = carry(0); over > 0;) over = carry(5 * over);
  if (passes()) carry(5);
  const [l0, l1, l2, l3, l4, l5] = h as unknown as [number, number, number, number, number, number];
  const words = [
    l0 | (l1 << 22),
    (l1 >>> 10) | (l2 << 12),
    (l2 >>> 20) | (l3 << 2) | (l4 << 24),
    (l4 >>> 8) | (l5 << 14),
  ];
  let over = 0;
  for (let part = 0; part < 4; part++) {
    const sum = ((words[part] as number) >>> 0) + ((s[part] as number) >>> 0) + over;
    out.writeUInt32LE(sum % 2 ** 32, at + 4 * part);
    over = sum >= 2 ** 32 ? 1 : 0;
  }
}

/** Ciphertext and tag. `key`: 32 bytes; the nonce is that of Noise: four zero bytes, then the counter. */
export function chachaPoly(key: Uint8Array, counter: number, associated: Uint8Array, plain: Uint8Array): Buffer {
  for (let at = 0; at < 8; at++) state[4 + at] = word(key, 4 * at);
  state[12] = 0;
  state[13] = 0;
  state[14] = counter % 2 ** 32;
  state[15] = Math.floor(counter / 2 ** 32);
  nextBlock();
  const [k0, k1, k2, k3] = [
    (block[0] as number) & 0x0fffffff,
    (block[1] as number) & 0x0ffffffc,
    (block[2] as number) & 0x0ffffffc,
    (block[3] as number) & 0x0ffffffc,
  ];
  r[0] = k0 & 0x3fffff;
  r[1] = (k0 >>> 22) | ((k1 & 0xfff) << 10);
  r[2] = (k1 >>> 12) | ((k2 & 0x3) << 20);
  r[3] = (k2 >>> 2) & 0x3fffff;
  r[4] = (k2 >>> 24) | ((k3 & 0x3fff) << 8);
  r[5] = k3 >>> 14;
  for (let at = 0; at < 6; at++) r[at + 6] = 20 * (r[at] as number);
  h.fill(0);
  const second = [block[4] as number, block[5] as number, block[6] as number, block[7] as number];
  const { length } = plain;
  const out = Buffer.allocUnsafe(length + tagBytes);
  for (let at = 0; at < length; at++) {
    if (at % blockBytes === 0) nextBlock();
    out[at] = (plain[at] as number) ^ (stream[at % blockBytes] as number);
  }
  takeAll(associated, associated.length);
  takeAll(out, length);
  out.writeUInt32LE(associated.length, length);
  out.writeUInt32LE(0, length + 4);
  out.writeUInt32LE(length, length + 8);
  out.writeUInt32LE(0, length + 12);
  take(out, length, length + tagBytes);
  finish(out, length, second);
  return out;
}
