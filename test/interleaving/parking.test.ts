import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { AWAKE, PARKED, Parker, ring, rouse } from '../../src/shared/parking.js';
import { type Actor, explore, type Scenario } from '../support/interleavings.js';

/** Which lines of parking.ts are swapped, or left out. */
type Broken = 'nothing' | 'S1 and S2' | 'W1 and W2' | 'S3 without looking at the word';

/**
 * Words that sleepers park on, and a count of news. All of it is real shared memory; only the wait itself, which is
 * asynchronous, is a flag: it is set where waitAsync would begin to wait, and cleared where a notify would end that.
 */
class Place {
  readonly words = new Int32Array(new SharedArrayBuffer(12));
  /** Sleepers that wait on a word, by its index. */
  readonly #asleep = new Set<number>();
  static readonly NEWS_INDEX = 2;

  get news(): number {
    return Atomics.load(this.words, Place.NEWS_INDEX);
  }

  /** W1 */
  publish(): void {
    Atomics.add(this.words, Place.NEWS_INDEX, 1);
  }

  notify(word: number): void {
    Atomics.notify(this.words, word);
    this.#asleep.delete(word);
  }

  /** Looks for so many news, and sleeps on the word until they have come. */
  *sleep(word: number, total: number, broken: Broken = 'nothing'): Actor {
    const parker = new Parker(this.words, word);
    for (let seen = 0; seen < total;) {
      let found: number;
      if (broken === 'S1 and S2') {
        yield 'S2 look';
        found = this.news;
        yield 'S1 announce';
        parker.announce();
      } else {
        yield 'S1 announce';
        parker.announce();
        yield 'S2 look';
        found = this.news;
      }
      if (found > seen) {
        yield 'cancel';
        parker.cancel();
        seen = found;
        continue;
      }
      yield 'S3 wait';
      if (broken !== 'S3 without looking at the word' && Atomics.load(this.words, word) !== PARKED) continue;
      this.#asleep.add(word);
      yield { step: 'wake up', when: () => !this.#asleep.has(word) };
    }
  }

  /** Publishes and rings, each of the ring's three instructions a step. */
  *wake(word: number, broken: Broken = 'nothing'): Actor {
    if (broken !== 'W1 and W2') {
      yield 'W1 publish';
      this.publish();
    }
    yield* this.ring(word);
    if (broken === 'W1 and W2') {
      yield 'W1 publish';
      this.publish();
    }
  }

  *ring(word: number): Actor {
    yield 'W2 load';
    if (Atomics.load(this.words, word) !== PARKED) return;
    yield 'W2 compare and exchange';
    if (Atomics.compareExchange(this.words, word, PARKED, AWAKE) !== PARKED) return;
    yield 'W2 notify';
    this.notify(word);
  }

  /** What replaces a wake-up that may have got lost with its waker: see `rouse`. */
  *rouse(word: number): Actor {
    yield 'rouse: store';
    Atomics.store(this.words, word, AWAKE);
    yield 'rouse: notify';
    this.notify(word);
  }

  /** The real `ring`, as one step: whether it notifies is seen by the word. */
  *wakeForReal(word: number): Actor {
    yield 'W1 publish';
    this.publish();
    yield 'W2 ring';
    const parked = Atomics.load(this.words, word) === PARKED;
    ring(this.words, word);
    if (parked) this.#asleep.delete(word);
  }
}

function nobodySleeps(waiting: readonly string[]): void {
  if (waiting.length > 0) throw new Error(`${waiting.join(', ')} sleeps on and has not seen the news`);
}

/** One sleeper, several wakers with one piece of news each. */
function parking(wakers: number, broken: Broken, waker: 'wake' | 'wakeForReal' = 'wake'): () => Scenario {
  return () => {
    const place = new Place();
    const waking = Array.from({ length: wakers }, (_, i): [string, () => Actor] => [
      `waker ${i + 1}`,
      () => place[waker](0, broken),
    ]);
    return {
      actors: { sleeper: () => place.sleep(0, wakers, broken), ...Object.fromEntries(waking) },
      check: nobodySleeps,
    };
  };
}

/**
 * The sleeper's thread may die. Its successor sleeps on a fresh word, which the publisher learns of between two of its
 * events, and then rouses it: what it had published by then it has rung the dead thread's word for.
 */
function takeOver(rouses: boolean): () => Scenario {
  const [OLD, FRESH] = [0, 1];
  return () => {
    const place = new Place();
    let dead = false;
    return {
      actors: {
        sleeper: () => place.sleep(OLD, 1),
        *publisher() {
          yield* place.wake(OLD);
          yield { step: 'learn who reads now', when: () => dead };
          if (rouses) yield* place.rouse(FRESH);
        },
      },
      mortal: 'sleeper',
      heir: () => {
        dead = true;
        return place.sleep(FRESH, 1);
      },
      check: (waiting) => {
        nobodySleeps(waiting.filter((name) => name !== 'publisher' || dead));
        if (place.words[FRESH] !== AWAKE) throw new Error('the fresh word says that somebody is parked');
      },
    };
  };
}

/** A waker's thread may die, and whoever takes over wakes in its place. */
function killedWaker(heir: (place: Place) => Actor): () => Scenario {
  return () => {
    const place = new Place();
    return {
      actors: { sleeper: () => place.sleep(0, 1), waker: () => place.wake(0) },
      mortal: 'waker',
      heir: () => heir(place),
      check: (waiting) => {
        if (place.news > 0) nobodySleeps(waiting);
      },
    };
  };
}

describe('parking', () => {
  it.each(['wake', 'wakeForReal'] as const)('never lets a sleeper sleep on over news (one waker: %s)', (waker) => {
    const { schedules, violation } = explore(parking(1, 'nothing', waker));
    expect(violation).toBeUndefined();
    expect(schedules).toBeGreaterThan(5);
  });

  it.each(['wake', 'wakeForReal'] as const)('never lets a sleeper sleep on over news (two wakers: %s)', (waker) => {
    const { schedules, violation } = explore(parking(2, 'nothing', waker));
    expect(violation).toBeUndefined();
    expect(schedules).toBeGreaterThan(500);
  });

  it.each(['S1 and S2', 'W1 and W2', 'S3 without looking at the word'] as const)(
    'loses the wake-up when %s are swapped or left out',
    (broken) => {
      expect(explore(parking(1, broken)).violation).toMatch(/^sleeper sleeps on and has not seen the news/);
    },
  );

  it('leaves nothing wrong for the successor of a sleeper that was killed at any step', () => {
    const { schedules, violation } = explore(takeOver(true));
    expect(violation).toBeUndefined();
    expect(schedules).toBeGreaterThan(1_000);
  });

  it('loses the wake-up of a successor that the publisher does not rouse', () => {
    expect(explore(takeOver(false)).violation).toMatch(/^heir sleeps on/);
  });

  it('loses no wake-up with a waker that was killed at any step, if its heir rouses', () => {
    const { schedules, violation } = explore(killedWaker((place) => place.rouse(0)));
    expect(violation).toBeUndefined();
    expect(schedules).toBeGreaterThan(100);
  });

  it('loses the wake-up of a killed waker whose heir only rings', () => {
    const { violation } = explore(killedWaker((place) => place.ring(0)));
    expect(violation).toMatch(/^sleeper sleeps on(.|\n)*waker: dies before "W2 notify"/);
  });
});

describe('Parker, ring and rouse', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('make the instructions of the model, in its order', async () => {
    const words = new Int32Array(new SharedArrayBuffer(4));
    const made: string[] = [];
    for (const name of ['store', 'load', 'compareExchange', 'notify', 'waitAsync'] as const) {
      const real = Atomics[name].bind(Atomics) as (...args: unknown[]) => unknown;
      vi.spyOn(Atomics, name).mockImplementation(((...args: unknown[]) => {
        made.push([name, ...args.slice(2)].join(' '));
        return real(...args);
      }) as never);
    }
    const parker = new Parker(words, 0);
    parker.announce();
    const waiting = parker.wait();
    ring(words, 0);
    await waiting;
    ring(words, 0);
    parker.announce();
    parker.cancel();
    rouse(words, 0);
    expect(made).toEqual([
      `store ${PARKED}`, // S1
      `waitAsync ${PARKED}`, // S3
      'load', // W2
      `compareExchange ${PARKED} ${AWAKE}`,
      'notify',
      'load',
      `store ${PARKED}`,
      `store ${AWAKE}`,
      `store ${AWAKE}`, // rouse
      'notify',
    ]);
  });

  it('do not wait on a word that a waker has set back meanwhile', async () => {
    const words = new Int32Array(new SharedArrayBuffer(4));
    const parker = new Parker(words, 0);
    parker.announce();
    ring(words, 0);
    await parker.wait();
    expect(words[0]).toBe(AWAKE);
  });

  it('do 10,000 rounds between two threads, both parking each time, and lose none', { timeout: 30_000 }, async () => {
    const ROUNDS = 10_000;
    const words = new Int32Array(new SharedArrayBuffer(16));
    const [HERE, THERE, NEWS_HERE, NEWS_THERE] = [0, 1, 2, 3];
    const echo = new Worker(new URL('../../build/test/support/echo.js', import.meta.url), {
      workerData: { words, rounds: ROUNDS, parking: new URL('../../dist/shared/parking.js', import.meta.url).href },
    });
    const ended = once(echo, 'exit');
    const parker = new Parker(words, HERE);
    let parked = 0;
    for (let round = 1; round <= ROUNDS; round++) {
      Atomics.store(words, NEWS_THERE, round);
      ring(words, THERE);
      while (Atomics.load(words, NEWS_HERE) !== round) {
        parker.announce();
        if (Atomics.load(words, NEWS_HERE) === round) parker.cancel();
        else {
          parked++;
          await parker.wait();
        }
      }
    }
    await ended;
    expect(words[NEWS_HERE]).toBe(ROUNDS);
    expect(parked).toBeGreaterThan(ROUNDS / 10);
  });
});
