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
