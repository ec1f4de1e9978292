/** A part of the hot path alone, on one thread. */
export interface Micro {
  /** What one call of `run` does so many times, so that neither the call nor the clock counts. */
  readonly operations: number;
  /**
   * Works on inputs that differ from operation to operation, and keeps or sums up each result: no compiler may leave one
   * out. @returns The same number each time.
   */
  run(): number | Promise<number>;
  /** Throws unless the results are right. Called before it is timed and after, when the engine has compiled it. */
  check(): void | Promise<void>;
  /** Ends what `run` needs. */
  close?(): Promise<void>;
}

/** Made in a process of its own: in one with others, the engine would have seen their types and handlers too. */
export interface MicroSpec {
  /** Its part and what it does there: "codec: tick, encode". */
  readonly name: string;
  readonly make: () => Micro;
}
