/**
 * Parking: a thread with nothing to do announces that in a word of its own, looks once more, and sleeps on that word.
 *
 *   sleeper                                   waker
 *   S1 Atomics.store(word, PARKED)            W1 Atomics.store(the news: a cursor, a gating position, a state)
 *   S2 look for news (Atomics.load)           W2 Atomics.load(word); if PARKED: CAS to AWAKE, notify
 *   S3 Atomics.waitAsync(word, PARKED)
 *
 * S1 must stay above S2, and W1 above W2. Atomics are sequentially consistent: of S1 and W2 one comes first. If S1 does,
 * W2 sees PARKED and wakes. If W2 does, W1 came before S2, which sees the news. With either pair swapped there is a
 * schedule in which S2 sees nothing, W2 sees AWAKE, and the sleeper sleeps on: the lost wake-up.
 * Between S1 and S3 the waker may have set the word AWAKE; then waitAsync returns at once.
 *
 * Each sleeper has a word of its own, so a thread that is killed while parked leaves no count behind that is wrong for
 * the others. Several wakers may race: the CAS lets one of them notify. A waker that is killed between W1 and its notify
 * leaves a sleeper behind, and perhaps a word that says AWAKE: whoever takes over calls `rouse`, not `ring`.
 * Test: test/interleaving/parking
 */
export const AWAKE = 0;
export const PARKED = 1;

/** The sleeper's side of one word. Only the thread that owns the word uses it. */
export class Parker {
  readonly #words: Int32Array;
  readonly #index: number;

  constructor(words: Int32Array, index: number) {
    this.#words = words;
    this.#index = index;
  }

  /** S1. Look for news after this, then `wait` or `cancel`. */
  announce(): void {
    Atomics.store(this.#words, this.#index, PARKED);
  }

  /** There was news after all. A waker that saw PARKED meanwhile notifies nobody, which costs only time. */
  cancel(): void {
    Atomics.store(this.#words, this.#index, AWAKE);
  }

  /**
   * S3. Resolves when a waker has rung. No timeout: an early-notified waitAsync keeps its timer until it expires. It
   * does not keep the thread's event loop alive; the thread's control port does.
   */
  async wait(): Promise<void> {
    const wait = Atomics.waitAsync(this.#words, this.#index, PARKED);
    if (wait.async) await wait.value;
  }
}

/**
 * W2: wakes the sleeper of the word if there is one. The caller has stored its news before, with Atomics.store.
 * @returns Whether there was one.
 */
export function ring(words: Int32Array, index: number): boolean {
  return Atomics.load(words, index) === PARKED && wake(words, index);
}

function wake(words: Int32Array, index: number): boolean {
  if (Atomics.compareExchange(words, index, PARKED, AWAKE) !== PARKED) return false;
  Atomics.notify(words, index);
  return true;
}

/** Wakes the sleeper whatever its word says: another waker may have died before it had notified. */
export function rouse(words: Int32Array, index: number): void {
  Atomics.store(words, index, AWAKE);
  Atomics.notify(words, index);
}
