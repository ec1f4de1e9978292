import { describe, expect, it } from 'vitest';
import { Claims } from '../../src/shared/claims.js';
import { ClaimBlock } from '../../src/shared/layout.js';
import { type Actor, explore, type Scenario, type Step } from '../support/interleavings.js';

/** What a thread does with claims. The real `Claims`, or one of the mutants below. */
interface Claiming {
  take(number: number): boolean;
  done(number: number): boolean;
  inherit(dead: number, lingers: boolean): number;
}
type Make = (block: ClaimBlock, claimant: number, fenced: readonly number[]) => Claiming;
const REAL: Make = (block, claimant, fenced) => new Claims(block, claimant, fenced);

/** Where numbers start: on fresh slots, and so that the second record's is beyond 2^31, and beyond 2^32. */
const STARTS = [0, 2 ** 31 - 1, -1] as const;
/** Numbers of laps: after so many they start anew. */
const LAPS = 256;
/**
 * Accesses to the slots that a thread makes after it was taken over. V8 ends it at its next call or turn of a loop, so this
 * is more than enough: a claim for which it raced, and the end of a delivery.
 */
const LINGERING_ACCESSES = 5;

// ------------------------------------------------------------------------------------------- the real code in steps

const { load, store, compareExchange } = Atomics;
interface Access {
  readonly name: string;
  readonly act: () => number;
}
const PAUSE = new Error('the next access to shared memory is to be a step');

/** Calls with the results of the accesses that were made before. @returns Its value, or its first new access. */
function replay<T>(call: () => T, results: readonly number[]): { readonly value: T } | Access {
  let made = 0;
  let next: Access | undefined;
  const access = (name: string, act: () => number): number => {
    if (made < results.length) return results[made++];
    next = { name, act };
    throw PAUSE;
  };
  Object.assign(Atomics, {
    load: (words: Int32Array, index: number) => access(`load ${index}`, () => load(words, index)),
    store: (words: Int32Array, index: number, value: number) =>
      access(`store ${index}`, () => store(words, index, value)),
    compareExchange: (words: Int32Array, index: number, expected: number, value: number) =>
      access(`CAS ${index}`, () => compareExchange(words, index, expected, value)),
  });
  try {
    return { value: call() };
  } catch (error) {
    if (next !== undefined && error === PAUSE) return next;
    throw error;
  } finally {
    Object.assign(Atomics, { load, store, compareExchange });
  }
}

/**
 * The real code, one access to shared memory after the other. It keeps nothing between two of them but what it has read:
 * so it is called anew for each, and told what it read before.
 */
function* inSteps<T>(
  name: string,
  self: Incarnation,
  call: () => T,
  when: () => boolean = () => true,
): Generator<Step, T> {
  const { seen } = self;
  for (;;) {
    const next = replay(call, seen);
    if ('value' in next) {
      seen.length = 0;
      return next.value;
    }
    const step = `${name}: ${next.name}`;
    yield {
      step,
      when: () => (seen.length > 0 || when()) && self.accessesLeft > 0,
    };
    seen.push(next.act());
    self.accessesLeft--;
  }
}

// ---------------------------------------------------------------------------------------------------------- the world

/** One thread's turn at a member's walk over the records. */
class Incarnation {
  readonly claimant: number;
  readonly claims: Claiming;
  /** Records below have their outcome as far as it is concerned. */
  gate: number;
  /** Records in flight, and whether their outcome is decided. */
  readonly flights = new Map<number, 'running' | 'decided'>();
  /** Records whose outcome it has counted. */
  readonly counted: number[] = [];
  /** The record to take next, and those that are taken and have no outcome. */
  next: number;
  readonly open: number[] = [];
  /** What the call that it is in has read of the slots. */
  readonly seen: number[] = [];
  /** Accesses to the slots before it is no more. */
  accessesLeft = Infinity;
  isFenced = false;
  /** A record that was taken from it before it could mark it done: it gives no more room back. */
  lost: number | undefined;

  constructor(claimant: number, claims: Claiming, gate: number) {
    this.claimant = claimant;
    this.claims = claims;
    this.gate = gate;
    this.next = gate;
  }
}

interface Shape {
  readonly slots: number;
  /** Records that the ring holds; as many as there are slots. */
  readonly room: number;
  /** Records that are published. */
  readonly records: number;
  /** Number of the first. */
  readonly start: number;
  readonly members: number;
  readonly make: Make;
}

class World {
  readonly shape: Shape;
  readonly block: ClaimBlock;
  /** Current incarnations. */
  readonly members: Incarnation[];
  /** Outcomes that incarnations had counted when they were taken over. */
  readonly carried: number[] = [];
  /** How often each record's handler was run, but for a thread that lingers. */
  readonly runs: number[];
  /** Records that were in flight when their thread died. */
  readonly repeatable = new Set<number>();
  published = 0;
  #claimants = 0;
  readonly #all: Incarnation[] = [];

  constructor(shape: Shape) {
    const { slots, start, members, records } = shape;
    this.shape = shape;
    this.block = ClaimBlock.create(slots);
    if (start !== 0) this.#leaveLapsBefore();
    this.members = Array.from({ length: members }, () => this.incarnation(0));
    this.runs = Array.from({ length: records }, () => 0);
  }

  incarnation(gate: number, fenced: readonly number[] = []): Incarnation {
    const claimant = ++this.#claimants;
    const incarnation = new Incarnation(claimant, this.shape.make(this.block, claimant, fenced), gate);
    this.#all.push(incarnation);
    return incarnation;
  }

  /** Somebody has had all the numbers before: the slots are as the last lap has left them. */
  #leaveLapsBefore(): void {
    const { slots, start, make } = this.shape;
    const claims = make(this.block, ++this.#claimants, []);
    const cycle = LAPS * slots;
    for (let number = Math.floor(start / cycle) * cycle - cycle; number < start; number++)
      if (claims.take(number | 0)) claims.done(number | 0);
  }

  number(record: number): number {
    return (this.shape.start + record) | 0;
  }

  get state(): string {
    const { block, carried, runs, repeatable, published } = this;
    return [block.slots, published, carried.sort(), runs, [...repeatable].sort(), this.#all.map(stateOf)].join('|');
  }

  /** Every record has one outcome; none was repeated but those that were in flight when their thread died. */
  check(waiting: readonly string[]): void {
    const stuck = waiting.filter((name) => !name.startsWith('lingering'));
    if (stuck.length > 0) throw new Error(`${stuck.join(', ')} waits for ever`);
    const counted = [...this.carried, ...this.members.flatMap((member) => member.counted)];
    for (let record = 0; record < this.shape.records; record++) {
      const outcomes = counted.filter((one) => one === record).length;
      if (outcomes !== 1) throw new Error(`record ${record} has ${outcomes} outcomes`);
      const runs = this.repeatable.has(record) ? 2 : 1;
      if (this.runs[record] > runs) throw new Error(`record ${record} was run ${this.runs[record]} times`);
    }
  }
}

function stateOf({ gate, next, open, lost, flights, counted, seen, accessesLeft }: Incarnation): string {
  return [gate, next, open, lost, [...flights], counted.sort(), seen, accessesLeft].join('/');
}

// --------------------------------------------------------------------------------------------------------- the actors

/** A record is published when the one whose room it takes has left the ring. */
function* publisher(world: World): Actor {
  const { records, room } = world.shape;
  while (world.published < records) {
    yield {
      step: `publish ${world.published}`,
      when: () => world.members.every(({ gate }) => world.published - gate < room),
    };
    world.published++;
  }
}

interface Walk {
  /** Deliveries that it has in flight together, if there are records; the one taken last ends first. */
  readonly concurrency?: number;
  /** Whether others look at its words: then each store to them is a step. */
  readonly watched?: boolean;
  /** Whether it marks a record done before it has decided the outcome. */
  readonly doneFirst?: boolean;
  /** Whether it counts the outcome before it marks the record done. */
  readonly countsFirst?: boolean;
}

/** The walk over all records: `ClaimedReader.take`, D1 to D3, K2, D4, D6, C3. */
function* walk(
  world: World,
  self: Incarnation,
  { concurrency = 1, watched = false, doneFirst = false, countsFirst = false }: Walk = {},
): Actor {
  const { claims, flights, open } = self;
  const { records } = world.shape;
  while (self.gate < records) {
    const more = self.next < records && open.length < concurrency && (open.length === 0 || world.published > self.next);
    if (more) {
      const record = self.next;
      const isMine = yield* inSteps(
        `K1 ${record}`,
        self,
        () => claims.take(world.number(record)),
        () => world.published > record,
      );
      self.next++;
      if (isMine) {
        if (watched) yield `D1 ${record}`;
        if (self.lost !== undefined) flights.delete(self.lost);
        flights.set(record, 'running');
        if (!self.isFenced) world.runs[record]++;
        open.push(record);
      }
    } else {
      if (open.length === 0) {
        yield { step: 'park', when: () => false }; // it gives back no more, so there will be nothing
        return;
      }
      const record = open.pop() as number;
      if (watched && !doneFirst) yield `D3 ${record}`;
      if (!doneFirst) flights.set(record, 'decided');
      if (countsFirst) {
        if (watched) yield `D4 ${record}`;
        self.counted.push(record);
      }
      const isDone = yield* inSteps(`K2 ${record}`, self, () => claims.done(world.number(record)));
      if (doneFirst) {
        yield `D3 ${record}`;
        flights.set(record, 'decided');
      }
      if (isDone) {
        if (watched && !countsFirst) yield `D4 ${record}`;
        if (!countsFirst) self.counted.push(record);
        if (watched) yield `D6 ${record}`;
        flights.delete(record);
      } else {
        self.lost = Math.min(record, self.lost ?? Infinity);
        world.repeatable.add(record); // it was run, and its outcome does not count
      }
    }
    const oldest = Math.min(open[0] ?? self.next, self.lost ?? Infinity);
    if (watched) yield `C3 ${oldest}`;
    if (!self.isFenced) self.gate = oldest; // C3
  }
}

interface TakeOver {
  /** Whether the dead thread may still run. */
  readonly lingers?: boolean;
  /** Whether the main thread looks what was in flight before it hands the claims over. */
  readonly fenceLast?: boolean;
  /** Whether it hands them over but once. */
  readonly fenceOnce?: boolean;
}

/** `Member.finish` and `Member.moveOn`, then the successor. */
function* takeOver(
  world: World,
  member: number,
  { lingers = false, fenceLast = false, fenceOnce = false }: TakeOver = {},
): Actor {
  const dead = world.members[member];
  const heir = world.incarnation(dead.gate, lingers ? [dead.claimant] : []);
  const { claims } = heir;
  let next = 'fence';
  const fence = (): Generator<Step, number> => inSteps(next, heir, () => claims.inherit(dead.claimant, lingers));
  if (lingers) {
    yield 'fence the room';
    dead.isFenced = true;
    dead.accessesLeft = LINGERING_ACCESSES;
  }
  if (!fenceLast) yield* fence();
  next = 'fence again';
  let frozen: Pick<Incarnation, 'gate'> & { flights: [number, string][]; counted: number[] };
  for (;;) {
    yield 'freeze'; // all its words, as they are at one moment: see `frozen` in memory.ts
    frozen = { gate: dead.gate, flights: [...dead.flights], counted: [...dead.counted] };
    if (!lingers || fenceOnce || fenceLast || (yield* fence()) === 0) break;
  }
  for (const [record, phase] of frozen.flights) {
    if (phase !== 'decided') {
      world.repeatable.add(record);
      continue;
    }
    claims.done(world.number(record));
    if (!frozen.counted.includes(record)) frozen.counted.push(record); // the counter is BEFORE + 1, whatever it was
  }
  world.carried.push(...frozen.counted);
  heir.gate = heir.next = frozen.gate;
  world.members[member] = heir;
  if (fenceLast) yield* fence();
  yield* walk(world, heir);
}

// ------------------------------------------------------------------------------------------------------ the schedules

interface StatefulScenario extends Scenario {
  /** All that decides what can still happen, and what the check will find. */
  readonly state: () => string;
}

/** Goes on from each state only once, however many schedules lead to it. */
function onceFromEachState(arrange: () => StatefulScenario): () => Scenario {
  const known = new Set<string>();
  let before: string[] = [];
  return () => {
    const { actors, heir, check, state, ...rest } = arrange();
    const [last, made]: [string[], string[]] = [before, []];
    const pending = new Map<string, string>();
    let isNew = false;
    let isKnown = false;
    before = made;
    const note = (name: string, next: string): void => {
      pending.set(name, next);
      // Schedules come in the order of their choices: up to the first that differs from the last one's, all is as it was.
      isNew ||= last[made.length] !== name;
      made.push(name);
      if (!isNew || isKnown) return;
      const found = `${[...pending].sort().join()}|${state()}`;
      isKnown = known.has(found);
      known.add(found);
    };
    function* noting(name: string, actor: Actor): Actor {
      for (let begun = false; ; begun = true) {
        const { value, done } = actor.next();
        const { step, when = () => true } = typeof value === 'object' ? value : { step: value ?? 'end' };
        if (begun) note(name, step);
        else pending.set(name, step);
        if (done === true) return;
        yield { step, when: () => !isKnown && when() };
      }
    }
    return {
      ...rest,
      actors: Object.fromEntries(
        Object.entries(actors).map(([name, actor]) => [name, () => noting(name, actor())] as const),
      ),
      heir:
        heir &&
        (() => {
          note(rest.mortal ?? '', 'dead');
          return noting('heir', heir());
        }),
      check: (waiting) => {
        if (!isKnown) check?.(waiting);
      },
    };
  };
}

/** Slots of two laps' records, as many as the ring holds, and two threads that share them. */
const SHAPE: Shape = { slots: 2, room: 2, records: 5, start: 0, members: 2, make: REAL };

type Actors = (world: World) => Pick<Scenario, 'actors' | 'mortal' | 'heir'>;

function exploring(shape: Partial<Shape>, act: Actors): string | undefined {
  const { violation } = explore(
    onceFromEachState(() => {
      const world = new World({ ...SHAPE, ...shape });
      const { actors, ...death } = act(world);
      return {
        actors: { publisher: () => publisher(world), ...actors },
        ...death,
        state: () => world.state,
        check: (waiting) => {
          world.check(waiting);
        },
      };
    }),
  );
  return violation;
}

/** All live. */
const sharing =
  (how?: Walk): Actors =>
  (world) => ({
    actors: Object.fromEntries(
      world.members.map((member, index) => [`thread ${index}`, () => walk(world, member, how)] as const),
    ),
  });

/** The first dies before one of its steps; the second lives. */
const dying =
  (how: Walk = {}, then?: TakeOver): Actors =>
  (world) => {
    const [first, ...others] = world.members;
    return {
      actors: {
        dying: () => walk(world, first, { ...how, watched: true }),
        ...Object.fromEntries(others.map((other, index) => [`thread ${index}`, () => walk(world, other)] as const)),
      },
      mortal: 'dying',
      heir: () => takeOver(world, 0, then),
    };
  };

/** The first is taken over at any of its steps, and goes on. */
const lingering =
  (then?: TakeOver, how: Walk = {}): Actors =>
  (world) => {
    const [first, ...others] = world.members;
    return {
      actors: {
        lingering: () => walk(world, first, { ...how, watched: true }),
        ...Object.fromEntries(others.map((other, index) => [`thread ${index}`, () => walk(world, other)] as const)),
        main: () => takeOver(world, 0, { ...then, lingers: true }),
      },
    };
  };

describe('claims', () => {
  it.each(STARTS)('give every record to one of two threads, over laps of two slots, from number %i', (start) => {
    expect(exploring({ start }, sharing())).toBeUndefined();
  });

  it.each([
    ['three threads', { members: 3, records: 3 }, {}],
    ['a table of four slots', { slots: 4, room: 4, records: 6 }, {}],
    ['a ring that holds fewer records than there are slots', { slots: 4, room: 3, records: 6 }, {}],
    ['threads with two deliveries in flight, the later one of which ends first', { records: 4 }, { concurrency: 2 }],
  ] as [string, Partial<Shape>, Walk][])('give every record to one of %s', (_, shape, how) => {
    expect(exploring(shape, sharing(how))).toBeUndefined();
  });

  it.each(STARTS)('outlive a thread that dies before any of its steps, from number %i', (start) => {
    expect(exploring({ start, records: 3 }, dying())).toBeUndefined();
  });

  it('outlive a thread that dies with two deliveries in flight', () => {
    expect(exploring({ records: 4, members: 1 }, dying({ concurrency: 2 }))).toBeUndefined();
  });

  it('outlive a thread that goes on beside another after it was taken over', () => {
    expect(exploring({ records: 3 }, lingering())).toBeUndefined();
  });

  it.each(STARTS)('outlive a thread that goes on after it was taken over, from number %i', (start) => {
    expect(exploring({ start, records: 5, members: 1 }, lingering())).toBeUndefined();
  });
});

// -------------------------------------------------------------------------------------------------------- the mutants

/** The real code but for some methods. */
const mutant =
  (breaking: (slots: Int32Array, claimant: number) => Partial<Claiming>): Make =>
  (block, claimant, fenced) => {
    const claims = REAL(block, claimant, fenced);
    return {
      take: (number) => claims.take(number),
      done: (number) => claims.done(number),
      inherit: (dead, lingers) => claims.inherit(dead, lingers),
      ...breaking(block.slots, claimant),
    };
  };

/** As in claims.ts, for a table of two slots. */
const HELD_BIT = 0x100;
const lapOf = (number: number): number => ((number >>> 1) + 1) & 0xff;
const claimed = (claimant: number, number: number): number => (claimant << 9) | HELD_BIT | lapOf(number);

const storesDone = mutant((slots, claimant) => ({
  done(number) {
    Atomics.store(slots, number & 1, claimed(claimant, number) & ~HELD_BIT);
    return true;
  },
}));
const inheritsWithoutLap = mutant((slots, claimant) => ({
  inherit(dead) {
    slots.forEach((_, index) => {
      const word = Atomics.load(slots, index);
      if (word >>> 9 === dead && (word & HELD_BIT) !== 0)
        Atomics.compareExchange(slots, index, word, (claimant << 9) | HELD_BIT);
    });
    return 0;
  },
}));
const inheritsNothing = mutant(() => ({ inherit: () => 0 }));
const leavesWhatIsDone: Make = (block, claimant, fenced) => {
  const claims = REAL(block, claimant, fenced);
  return {
    take: (number) => claims.take(number),
    done: (number) => claims.done(number),
    inherit: (dead) => claims.inherit(dead, false),
  };
};
const ignoresLap = mutant((slots, claimant) => ({
  take(number) {
    const word = Atomics.load(slots, number & 1);
    const isFree = (word & HELD_BIT) === 0;
    return isFree && Atomics.compareExchange(slots, number & 1, word, claimed(claimant, number)) === word;
  },
}));
const storesClaim = mutant((slots, claimant) => ({
  take(number) {
    if ((Atomics.load(slots, number & 1) & 0xff) === lapOf(number)) return false;
    Atomics.store(slots, number & 1, claimed(claimant, number));
    return true;
  },
}));
const fencesNobody: Make = (block, claimant) => REAL(block, claimant, []);

describe('claims do not', () => {
  it.each([
    ['when K1 is a plain store', { make: storesClaim }, sharing(), /^record \d has 2 outcomes/],
    ['when K1 does not look at the lap', { make: ignoresLap }, sharing(), /^record \d has \d outcomes/],
    ['when there is one slot too few', { room: 3 }, sharing({ concurrency: 2 }), /^record \d has \d outcomes/],
    ['when nobody inherits', { make: inheritsNothing, records: 3 }, dying(), /^record \d has 0 outcomes/],
    ['when the lap is not inherited', { make: inheritsWithoutLap, records: 3 }, dying(), /^record \d has \d outcomes/],
    ['when K2 is made before D3', { records: 3 }, dying({ doneFirst: true }), /^record \d has 0 outcomes/],
    ['when the fence comes last', { records: 3 }, dying({}, { fenceLast: true }), /^record \d has 2 outcomes/],
    ['when K2 is a plain store', { make: storesDone, records: 3 }, lingering(), /^record \d has \d outcomes/],
    ['when nobody is fenced', { make: fencesNobody, records: 3 }, lingering(), /^record \d has 0 outcomes/],
    [
      'when what is done is not inherited',
      { make: leavesWhatIsDone, records: 3 },
      lingering(),
      /^record \d has 2 outcomes/,
    ],
    ['when the fence is run once', { records: 3 }, lingering({ fenceOnce: true }), /^record \d has 2 outcomes/],
    ['when D4 is before K2', { records: 3 }, lingering({}, { countsFirst: true }), /^record \d has 2 outcomes/],
    [
      'when the fence comes last and the thread goes on',
      { records: 3 },
      lingering({ fenceLast: true }),
      /^record \d has \d outcomes/,
    ],
  ] as [string, Partial<Shape>, Actors, RegExp][])('%s', (_, shape, act, problem) => {
    expect(exploring(shape, act)).toMatch(problem);
  });
});
