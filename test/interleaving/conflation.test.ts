import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ConflationBlock,
  ConflationProgress,
  ConflationWord,
  ProgressWord,
  SlotState,
} from '../../src/shared/conflation-block.js';
import { repairConflation, succeed } from '../../src/shared/conflation-repair.js';
import { ConflationReader, ConflationWriter, settleDelivery } from '../../src/shared/conflation.js';
import { Memory } from '../../src/shared/memory.js';
import {
  begun,
  finish,
  type Flight,
  type Groups,
  keyOf,
  noFlight,
  read,
  type ReaderStep,
  type Reading,
  RECORD_BYTES,
  RECORD_I32,
  World,
  write,
  type WriterStep,
} from '../support/conflation.js';
import { explore, type Scenario } from '../support/interleavings.js';
import { MortalThread, namesOf, watchAtomics } from '../support/mortal.js';

/** What the main thread does with the flight of a dead reader: finishes it if its outcome was decided. */
function recover(world: World, flight: Flight): void {
  if (flight.phase !== 'decided') return;
  world.processed = flight.before.processed + 1;
  world.conflated = flight.before.conflated + flight.skipped;
  settleDelivery(world.block, world.progress, flight.position);
}

const BYTE_BY_BYTE = {
  writer: [['W2a'], ['W2b'], ['W3'], ['W4', 'W5']] as Groups<WriterStep>,
  reader: [['R3a'], ['R3b'], ['D4', 'R4', 'R5']] as Groups<ReaderStep>,
};

/** One key, an event of which is queued already; the reader reads while two more are written. */
function publication(writer = BYTE_BY_BYTE.writer, breaks?: 'swap'): () => Scenario {
  return () => {
    const world = new World(1);
    finish(write(world, [0], [['W2a', 'W2b', 'W3', 'W4', 'W5']]));
    return {
      actors: {
        writer: () => write(world, [0, 0], writer),
        reader: () => read(world, BYTE_BY_BYTE.reader, { progress: world.progress, ...(breaks && { breaks }) }),
      },
      check: () => {
        world.expectSettled(world.progress);
      },
    };
  };
}

const QUEUEING: Groups<WriterStep> = [['W2a', 'W2b', 'W3'], ['W4'], ['W5']];

/** Two keys, three events; each store to the queue is a step. */
function queueing(writer = QUEUEING): () => Scenario {
  return () => {
    const world = new World(2);
    const reader: Groups<ReaderStep> = [['R3a', 'R3b', 'D4'], ['R4'], ['R5']];
    return {
      actors: {
        writer: () => write(world, [1, 0, 1], writer),
        reader: () => read(world, reader, { progress: world.progress }),
      },
      check: () => {
        world.expectSettled(world.progress);
      },
    };
  };
}

/** The reader dies, its successor goes on; two events come meanwhile. */
function readerDeath(breaks?: 'repeat'): () => Scenario {
  return () => {
    const world = new World(1);
    const flight = noFlight();
    const reader: Groups<ReaderStep> = [['D1'], ['R3a', 'R3b'], ['D3'], ['D4'], ['R4'], ['R5'], ['D6']];
    const broken = breaks === undefined ? {} : { breaks };
    let { progress } = world;
    finish(write(world, [0], [['W2a', 'W2b', 'W3', 'W4', 'W5']]));
    return {
      actors: {
        writer: () => write(world, [0, 0], [['W2a', 'W2b', 'W3', 'W4', 'W5']]),
        reader: () => read(world, reader, { progress, flight, ...broken }),
      },
      mortal: 'reader',
      *heir() {
        yield 'recover';
        recover(world, flight);
        progress = succeed(world.block, progress);
        yield* read(
          world,
          [
            ['R3a', 'R3b'],
            ['D4', 'R4', 'R5'],
          ],
          { progress, ...broken },
        );
      },
      check: () => {
        world.expectSettled(progress);
      },
    };
  };
}

type TakeOverStep = 'fence' | 'HEAD' | 'DELIVERED';
const TAKE_OVER: readonly TakeOverStep[] = ['fence', 'HEAD', 'DELIVERED'];

/** A reader that was terminated lingers; main copies its progress, the successor starts, events come. */
interface Lingering {
  readonly order?: readonly TakeOverStep[];
  /** How many steps of the take-over are done when it begins; if all are, the successor is reading a record. */
  readonly done?: number;
  readonly offers?: number;
  readonly settles?: readonly ('R4' | 'R5')[];
  readonly breaks?: 'fence';
}

function lingering({ order = TAKE_OVER, done = 0, offers = 2, settles = ['R4', 'R5'], breaks }: Lingering = {}) {
  return (): Scenario => {
    const world = new World(1);
    const { block } = world;
    const successor = ConflationProgress.create(1);
    const steps: Record<TakeOverStep, () => void> = {
      fence: () => {
        block.states[0] = SlotState.inEpoch(block.states[0], 1);
        successor.words[ProgressWord.EPOCH_INDEX] = 1;
      },
      HEAD: () => (successor.words[ProgressWord.HEAD_INDEX] = world.progress.words[ProgressWord.HEAD_INDEX]),
      DELIVERED: () => (successor.delivered[0] = world.progress.delivered[0]),
    };
    world.longest++;
    finish(write(world, [0], [['W2a', 'W2b', 'W3', 'W4', 'W5']]));
    const lingers: Reading = { progress: world.progress, lingering: true, ...(breaks && { breaks }) };
    const old = begun(read(world, [['R3a', 'R3b'], ...settles.map((step) => [step])], lingers));
    for (const step of order.slice(0, done)) steps[step]();
    const reading = done === order.length;
    const groups: Groups<ReaderStep> = reading ? [['R3a'], ['R3b', 'R4', 'R5']] : [['R3a', 'R3b', 'R4', 'R5']];
    const next = read(world, groups, { progress: successor });
    if (reading) begun(next);
    return {
      actors: {
        old: () => old,
        writer: () => write(world, new Array<number>(offers).fill(0), [['W2a', 'W2b', 'W3', 'W4', 'W5']]),
        *main() {
          for (const step of order.slice(done)) {
            yield step;
            steps[step]();
          }
          yield* next;
        },
      },
      check: () => {
        if (world.tail !== successor.words[ProgressWord.HEAD_INDEX]) throw new Error('something is pending');
        if (SlotState.isFresh(block.states[0])) throw new Error('an event is neither queued nor delivered');
      },
    };
  };
}

const MORTAL_OFFER: Groups<WriterStep> = [['commit'], ['W1'], ['W2a', 'W2b', 'W3'], ['W4'], ['W5']];

/** The writer dies, main repairs its block; the reader runs all the time. */
function writerDeath({ writer = MORTAL_OFFER, forgetful = false, twice = false } = {}): () => Scenario {
  return () => {
    const world = new World(1);
    finish(write(world, [0], [['commit'], ['W1', 'W2a', 'W2b', 'W3', 'W4', 'W5']]));
    return {
      actors: {
        writer: () => write(world, [0, 0], writer, forgetful),
        reader: () => read(world, [['R3a', 'R3b', 'D4', 'R4', 'R5']], { progress: world.progress }),
      },
      mortal: 'writer',
      *heir() {
        yield 'repair';
        repairConflation(world.block, keyOf, world.last);
        if (!twice) return;
        yield 'repair again';
        repairConflation(world.block, keyOf, world.last);
      },
      check: () => {
        world.expectSettled(world.progress);
      },
    };
  };
}

describe('three buffers', () => {
  it('show the reader whole records, the newest of them in the end, in every schedule', () => {
    const { schedules, violation } = explore(publication());
    expect(violation).toBeUndefined();
    expect(schedules).toBeGreaterThan(1_000);
  });

  it.each([
    ['W2 and W3', [['W2a'], ['W3'], ['W2b'], ['W4', 'W5']], /is read with the sequence/],
    ['W3 and W5', [['W2a'], ['W2b'], ['W4', 'W5'], ['W3']], /is not delivered/],
  ] as const)('are broken when %s are swapped', (_, writer, violation) => {
    expect(explore(publication(writer)).violation).toMatch(violation);
  });

  it('are needed: a reader that reads the middle one where it is sees torn records', () => {
    expect(explore(publication(undefined, 'swap')).violation).toMatch(
      /is read with the sequence|is delivered after|accounted/,
    );
  });
});

describe('the queue of keys', () => {
  it('has every key with news, whoever is between which steps', () => {
    const { schedules, violation } = explore(queueing());
    expect(violation).toBeUndefined();
    expect(schedules).toBeGreaterThan(1_000);
  });

  it.each([
    ['W4 and W5', [['W2a', 'W2b', 'W3'], ['W5'], ['W4']]],
    ['W3 and W5', [['W4'], ['W5'], ['W2a', 'W2b', 'W3']]],
  ] as const)('is broken when %s are swapped', (_, writer) => {
    expect(explore(queueing(writer)).violation).toMatch(/is not delivered/);
  });
});

describe('the death of a reader', () => {
  it('loses nothing, repeats what was in flight first, and counts everything once', () => {
    const { schedules, violation } = explore(readerDeath());
    expect(violation).toBeUndefined();
    expect(schedules).toBeGreaterThan(1_000);
  });

  it('makes the queue too long if the successor takes a newer event in place of the one in flight', () => {
    expect(explore(readerDeath('repeat')).violation).toMatch(/the queue has 3 entries/);
  });
});

describe('a reader that lingers', () => {
  it.each([
    ['while its progress is copied', {}],
    ['while its successor reads', { done: 3, offers: 3 }],
  ])('disturbs neither the records nor the queue of its successor %s', (_, linger) => {
    const { schedules, violation } = explore(lingering(linger));
    expect(violation).toBeUndefined();
    expect(schedules).toBeGreaterThan(50);
  });

  it.each<[string, Lingering, RegExp]>([
    ['it ignores the fence', { breaks: 'fence', done: 3, offers: 3 }, /the queue has 4 entries/],
    ['R4 and R5 are swapped', { settles: ['R5', 'R4'] }, /neither queued nor delivered/],
    ['main copies DELIVERED before HEAD', { order: ['fence', 'DELIVERED', 'HEAD'] }, /neither queued nor delivered/],
    ['main copies first', { order: ['HEAD', 'DELIVERED', 'fence'], done: 2, offers: 3 }, /the queue has 4 entries/],
  ])('does when %s', (_, linger, violation) => {
    expect(explore(lingering(linger)).violation).toMatch(violation);
  });
});

describe('the death of a writer', () => {
  it('loses no committed event, and no event is offered twice', () => {
    const { schedules, violation } = explore(writerDeath());
    expect(violation).toBeUndefined();
    expect(schedules).toBeGreaterThan(1_000);
  });

  it('may be repaired twice', () => {
    expect(explore(writerDeath({ twice: true })).violation).toBeUndefined();
  });

  it.each([
    ['W1 and W3 are swapped', { writer: [['commit'], ['W2a', 'W2b', 'W3'], ['W1'], ['W4'], ['W5']] as const }],
    ['the redo record is not written again after a failed CAS', { forgetful: true }],
  ])('does when %s', (_, broken) => {
    expect(explore(writerDeath(broken)).violation).toMatch(/writer: dies before/);
  });
});

describe('the real code', () => {
  let stopWatching: () => void;
  beforeEach(() => {
    stopWatching = watchAtomics();
  });
  afterEach(() => {
    stopWatching();
  });

  /** A block as a thread sees it: every store to it has a name. */
  function seenBy(thread: MortalThread, block: ConflationBlock, before?: (name?: string) => void): ConflationBlock {
    const { words, stats, states, queue, memory } = block;
    // A dead thread's CAS fails for ever, and `offer` would repeat it for ever.
    const watch = <W extends Int32Array | Float64Array>(seen: W, nameOf: (index: number) => string | undefined): W =>
      thread.watch(seen, (index) => {
        if (thread.dead) throw new Error('the thread is dead');
        before?.(nameOf(index));
        return nameOf(index);
      });
    const isCount = (index: number): boolean => index % (1 + RECORD_BYTES / 8) === 0;
    return Object.assign(Object.create(ConflationBlock.prototype) as ConflationBlock, block, {
      words: watch(words, namesOf(ConflationWord, '_INDEX')),
      stats: watch(stats, namesOf(ConflationWord, '_F64')),
      states: watch(states, () => 'STATE'),
      queue: watch(queue, () => 'QUEUE'),
      memory: Object.assign(Object.create(Memory.prototype) as Memory, memory, {
        i32: watch(memory.i32, () => 'record'),
        f64: watch(memory.f64, (index) => (isCount(index) ? 'COUNT' : 'f64')),
      }),
    });
  }

  /** The real offers of a thread that lives to make so many stores: two keys on one slot, the second one lost. */
  function offerAll(life?: number): { world: World; stores: readonly string[] } {
    const world = new World(1);
    const thread = new MortalThread(life);
    const writer = new ConflationWriter(seenBy(thread, world.block), keyOf);
    try {
      for (const key of [0, 0, 1]) {
        if (!thread.mayStore('commit')) break;
        writer.offer(key, world.lane, world.commit(key) * RECORD_BYTES);
      }
    } catch (error) {
      if (!thread.dead) throw error;
    }
    return { world, stores: thread.stores };
  }

  const redo = ['REDO_SLOT', 'REDO_STATE', 'REDO_TAIL', 'REDO_SEQUENCE', 'REDO_SLOT'];
  const offer = [...redo, 'COUNT', ...Array.from({ length: RECORD_I32 }, () => 'record'), 'STATE'];
  const loss = ['REDO_SLOT', 'REDO_LOST', 'REDO_SEQUENCE', 'REDO_SLOT', 'LOST'];
  const ALL = ['commit', ...offer, 'QUEUE', 'TAIL', 'commit', ...offer, 'commit', ...loss];

  it('of the writer makes the stores of the model, in its order', () => {
    expect(offerAll().stores).toEqual(ALL);
  });

  it('of the writer can be repaired wherever it dies', () => {
    for (let life = 1; life < ALL.length; life++) {
      const { world } = offerAll(life);
      for (let times = 0; times < 2; times++) repairConflation(world.block, keyOf, world.last);
      const reader = new ConflationReader(world.block, world.progress);
      const events: number[] = [];
      while (reader.next()) {
        events.push(reader.memory.i32[(reader.at >> 2) + 5]);
        world.processed += 1;
        world.conflated += reader.skipped;
        reader.settle();
      }
      const lost = world.block.stats[ConflationWord.LOST_F64];
      const committed = world.committed.length;
      expect([world.processed + world.conflated + lost, events, lost], `dies before store ${life}`).toEqual([
        committed,
        [Math.min(committed - 1, 1)],
        committed === 3 ? 1 : 0,
      ]);
    }
  });

  it('of the writer can be repaired when the reader took the slot before its CAS', () => {
    const world = new World(1);
    const reader = new ConflationReader(world.block, world.progress);
    new ConflationWriter(world.block, keyOf).offer(0, world.lane, world.commit(0) * RECORD_BYTES);
    // It lives up to the second CAS: the first one fails, since the reader takes the slot while W2 is going on.
    const thread = new MortalThread(redo.length + 1 + RECORD_I32 + 3);
    const seen = seenBy(thread, world.block, (name) => {
      if (name === 'COUNT') expect(reader.next()).toBe(true);
    });
    const writer = new ConflationWriter(seen, keyOf);
    expect(() => writer.offer(0, world.lane, world.commit(0) * RECORD_BYTES)).toThrow('the thread is dead');
    expect(thread.stores.slice(-3)).toEqual(['STATE', 'REDO_STATE', 'STATE']);
    repairConflation(world.block, keyOf, world.last);
    reader.settle();
    expect([reader.next(), reader.skipped, reader.memory.i32[(reader.at >> 2) + 5]]).toEqual([true, 0, 1]);
  });

  it('of the reader makes the stores of the model, in its order', () => {
    const world = new World(1);
    const thread = new MortalThread();
    new ConflationWriter(world.block, keyOf).offer(0, world.lane, world.commit(0));
    const progress = Object.assign(Object.create(ConflationProgress.prototype) as ConflationProgress, world.progress, {
      words: thread.watch(world.progress.words, namesOf(ProgressWord, '_INDEX')),
      delivered: thread.watch(world.progress.delivered, () => 'DELIVERED'),
    });
    const reader = new ConflationReader(seenBy(thread, world.block), progress);
    expect(reader.next()).toBe(true);
    thread.mayStore('handler');
    reader.settle();
    expect(thread.stores).toEqual(['STATE', 'handler', 'DELIVERED', 'HEAD']);
  });

  it('of the take-over fences first, and copies HEAD before DELIVERED', () => {
    const world = new World(1);
    new ConflationWriter(world.block, keyOf).offer(0, world.lane, world.commit(0));
    const steps: string[] = [];
    const noting = (name: 'words' | 'delivered'): PropertyDescriptor => ({
      get: () => {
        steps.push(`${name} in epoch ${SlotState.epoch(world.block.states[0])}`);
        return world.progress[name];
      },
    });
    const dead = Object.create(ConflationProgress.prototype, {
      words: noting('words'),
      delivered: noting('delivered'),
      stats: { value: world.progress.stats },
    }) as ConflationProgress;
    succeed(world.block, dead);
    expect(steps).toEqual(['words in epoch 0', 'words in epoch 1', 'delivered in epoch 1', 'words in epoch 1']);
  });
});
