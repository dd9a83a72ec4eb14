/** Bytes of the wire format: a writer, and a reader that is total. Integers are big-endian. */

/** What a reader meets when the bytes are none of what is expected; never leaves `decoded`. */
class Malformed extends Error {}
const malformed = new Malformed('malformed');

export class Reader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  /** Bytes that have not been read. */
  get left(): number {
    return this.#bytes.length - this.#at;
  }

  #take(length: number): number {
    if (length > this.left) throw malformed;
    const at = this.#at;
    this.#at += length;
    return at;
  }

  /** A window into what was read. */
  bytes(length: number): Uint8Array {
    const at = this.#take(length);
    return this.#bytes.subarray(at, at + length);
  }

  rest(): Uint8Array {
    return this.bytes(this.left);
  }

  u8(): number {
    return this.#bytes[this.#take(1)] as number;
  }

  u16(): number {
    const at = this.#take(2);
    return ((this.#bytes[at] as number) << 8) | (this.#bytes[at + 1] as number);
  }

  u32(): number {
    return this.u16() * 0x1_0000 + this.u16();
  }

  u48(): number {
    return this.u16() * 0x1_0000_0000 + this.u32();
  }

  /** ASCII text with its length in one byte before it, which must match the pattern. */
  text(pattern: RegExp): string {
    return this.fixed(this.u8(), pattern);
  }

  /** ASCII text of a fixed length. */
  fixed(length: number, pattern: RegExp): string {
    const bytes = this.bytes(length);
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, length).toString('latin1');
    return this.require(pattern.test(text), text);
  }

  /** `value`, if the condition holds; otherwise the bytes are malformed. */
  require<T>(condition: boolean, value: T): T {
    if (!condition) throw malformed;
    return value;
  }
}

/** What `make` reads, if that is all there is; otherwise undefined. */
export function decoded<T>(bytes: Uint8Array, make: (reader: Reader) => T): T | undefined {
  try {
    const reader = new Reader(bytes);
    const value = make(reader);
    return reader.left === 0 ? value : undefined;
  } catch (error) {
    if (error instanceof Malformed) return undefined;
    throw error;
  }
}

const firstRoom = 256;

export class Writer {
  #bytes = Buffer.allocUnsafe(firstRoom);
  #length = 0;

  /** Bytes that have been written. */
  get length(): number {
    return this.#length;
  }

  /** Room for so many bytes more; gives where they go. */
  #room(length: number): number {
    const at = this.#length;
    this.#length += length;
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#length, 2 * this.#bytes.length));
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes = larger;
    }
    return at;
  }

  bytes(bytes: Uint8Array): this {
    const at = this.#room(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  u8(value: number): this {
    const at = this.#room(1);
    this.#bytes.writeUInt8(value, at);
    return this;
  }

  u16(value: number): this {
    const at = this.#room(2);
    this.#bytes.writeUInt16BE(value, at);
    return this;
  }

  u32(value: number): this {
    const at = this.#room(4);
    this.#bytes.writeUInt32BE(value, at);
    return this;
  }

  u48(value: number): this {
    const at = this.#room(6);
    this.#bytes.writeUIntBE(value, at, 6);
    return this;
  }

  text(text: string): this {
    return this.u8(text.length).fixed(text);
  }

  fixed(text: string): this {
    const at = this.#room(text.length);
    this.#bytes.write(text, at, 'latin1');
    return this;
  }

  /** Writes what `write` writes, its length in two bytes before it. */
  sized(write: (writer: this) => void): this {
    const at = this.#room(2);
    write(this);
    this.#bytes.writeUInt16BE(this.#length - at - 2, at);
    return this;
  }

  /** What was written; the writer is not used any more. */
  done(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}

/** Ids of nodes as nodeIdOf makes them. */
export const nodeIdLength = 20;
export const nodeIdPattern = /^[a-z2-7]{20}$/;
