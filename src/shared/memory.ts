/**
 * One region of shared memory, seen as each width that records need. All indexes count elements of that width from the
 * start of the region, so `byteOffset` must be a multiple of 8.
 */
export class Memory {
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly f64: Float64Array;
  readonly i64: BigInt64Array;
  readonly u64: BigUint64Array;
  /** The same bytes with Node's string readers and writers. */
  readonly buffer: Buffer;

  constructor(source: SharedArrayBuffer | ArrayBuffer, byteOffset = 0, byteLength = source.byteLength - byteOffset) {
    this.u8 = new Uint8Array(source, byteOffset, byteLength);
    this.i32 = new Int32Array(source, byteOffset, byteLength >> 2);
    this.u32 = new Uint32Array(source, byteOffset, byteLength >> 2);
    this.f64 = new Float64Array(source, byteOffset, byteLength >> 3);
    this.i64 = new BigInt64Array(source, byteOffset, byteLength >> 3);
    this.u64 = new BigUint64Array(source, byteOffset, byteLength >> 3);
    this.buffer = Buffer.from(source, byteOffset, byteLength);
  }
}

/**
 * Copies of regions that another thread may still write, as all of them were at one moment: of two readings that agree the
 * first was complete, and nothing had moved before the second began. Waits for that: for a thread that is dying, not long.
 * Y. Afek et al., Atomic Snapshots of Shared Memory, J. ACM 40(4), 1993: the double collect.
 */
export function frozen(sources: readonly SharedArrayBuffer[]): SharedArrayBuffer[] {
  const read = (): Uint8Array[] => sources.map((source) => new Uint8Array(source.slice(0)));
  for (let former = read(); ;) {
    const latter = read();
    if (latter.every((bytes, index) => Buffer.compare(bytes, former[index]) === 0)) {
      return latter.map(({ buffer }) => buffer as SharedArrayBuffer);
    }
    former = latter;
  }
}
