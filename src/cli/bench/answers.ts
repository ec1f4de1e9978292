/** The pongs of a ping-pong, on the bus's own thread. */
import type { EventBus } from '../../main/index.js';
import { type Board, recordSince } from './board.js';
import { type BenchCatalog, nowNs } from './events.js';
import { readTally, Tally, TALLY_F64 } from './tally.js';

/** Name of its subscription. */
export const ANSWERS = 'answers';

export class Answers {
  readonly #words = new Float64Array(TALLY_F64);
  readonly #tally = new Tally(this.#words, 1);

  constructor(bus: EventBus<BenchCatalog>, { latencies }: Board, onAnswer: (sequence: number) => void) {
    bus.subscribe(
      'PONG',
      ({ at, sequence }) => {
        if (at > 0) recordSince(at, nowNs(), latencies);
        this.#tally.take(sequence);
        onAnswer(sequence);
      },
      { name: ANSWERS },
    );
  }

  read(): ReturnType<typeof readTally> {
    return readTally(this.#words);
  }
}
