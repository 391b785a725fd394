/** Records and variable-length integers (https://www.sqlite.org/fileformat2.html, 1.6 and 2.1). */

/** Text as it is stored; two different byte strings may look the same to a person. */
export class StoredText {
  readonly bytes: Buffer;

  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
}

/** A stored value: NULL, INTEGER, REAL, TEXT or BLOB. Integers are bigint, so that 1 and 1.0 stay apart. */
export type Stored = null | bigint | number | StoredText | Buffer;

/** A rowid or a size: a bigint only where a number could not hold it. Compare with `<` and `>`, which take both. */
export type Integer = number | bigint;

/** Reads one thing after the other. Error: RangeError past the end. */
export class Cursor {
  readonly bytes: Buffer;
  at: number;

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes;
    this.at = at;
  }

  varint(): Integer {
    let value = 0;
    for (let taken = 0; taken < 7; taken++) {
      const byte = this.bytes.readUInt8(this.at++);
      value = value * 128 + (byte & 0x7f);
      if (byte < 0x80) return value;
    }
    return this.#longVarint(BigInt(value));
  }

  /** 8 bytes with 7 bits each, or 9 of which the last has 8. */
  #longVarint(seven: bigint): Integer {
    const eighth = this.bytes.readUInt8(this.at++);
    let value = (seven << 7n) | BigInt(eighth & 0x7f);
    if (eighth >= 0x80) value = BigInt.asIntN(64, (value << 8n) | BigInt(this.bytes.readUInt8(this.at++)));
    return narrow(value);
  }
}

/** Equal integers become equal values. */
export function narrow(value: bigint): Integer {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}

/** The values of a record; it may have fewer than its table has columns. Error: RangeError for a damaged one. */
export function readRecord(payload: Buffer): Stored[] {
  const header = new Cursor(payload, 0);
  const end = Number(header.varint());
  const values: Stored[] = [];
  let at = end;
  while (header.at < end) {
    const type = Number(header.varint());
    const length = lengthOf(type);
    if (at + length > payload.length) throw new RangeError('a record is longer than its payload');
    values.push(readValue(payload, at, type, length));
    at += length;
  }
  return values;
}

function lengthOf(type: number): number {
  if (type >= 12) return Math.floor((type - 12) / 2);
  return [0, 1, 2, 3, 4, 6, 8, 8, 0, 0][type] ?? Number.POSITIVE_INFINITY;
}

function readValue(payload: Buffer, at: number, type: number, length: number): Stored {
  if (type === 0) return null;
  if (type >= 12) {
    const bytes = payload.subarray(at, at + length);
    return type % 2 === 0 ? bytes : new StoredText(bytes);
  }
  if (type === 7) return payload.readDoubleBE(at);
  if (type >= 8) return BigInt(type - 8);
  return type === 6 ? payload.readBigInt64BE(at) : BigInt(payload.readIntBE(at, length));
}

export function sameStored(a: Stored, b: Stored): boolean {
  if (a instanceof StoredText) return b instanceof StoredText && a.bytes.equals(b.bytes);
  if (Buffer.isBuffer(a)) return Buffer.isBuffer(b) && a.equals(b);
  return a === b;
}
