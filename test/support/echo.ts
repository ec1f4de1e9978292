/** The other thread of a test of parking: answers every piece of news with one of its own, and parks in between. */
import { workerData } from 'node:worker_threads';

const { words, rounds, parking } = workerData as { words: Int32Array; rounds: number; parking: string };
// The code under test is TypeScript for the test and JavaScript for this thread: the test says where that is.
const { Parker, ring } = (await import(parking)) as typeof import('../../src/shared/parking.js');
const [HERE, THERE, NEWS_HERE, NEWS_THERE] = [1, 0, 3, 2];

const parker = new Parker(words, HERE);
// A pending waitAsync does not keep a thread alive.
const alive = setInterval(() => undefined, 1_000);
for (let round = 1; round <= rounds; round++) {
  while (Atomics.load(words, NEWS_HERE) !== round) {
    parker.announce();
    if (Atomics.load(words, NEWS_HERE) === round) parker.cancel();
    else await parker.wait();
  }
  Atomics.store(words, NEWS_THERE, round);
  ring(words, THERE);
}
clearInterval(alive);
