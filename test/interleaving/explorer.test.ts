import { describe, expect, it } from 'vitest';
import { type Actor, explore } from '../support/interleavings.js';

/** An actor of so many steps that notes each of them. */
function noting(name: string, steps: number, notes: string[] = []): () => Actor {
  return function* () {
    for (let step = 1; step <= steps; step++) {
      yield `step ${step}`;
      notes.push(`${name}${step}`);
    }
  };
}

function factorial(n: number): number {
  return n < 2 ? 1 : n * factorial(n - 1);
}

/** Ways to merge sequences of these lengths. */
function merges(...lengths: readonly number[]): number {
  const total = lengths.reduce((sum, length) => sum + length, 0);
  return lengths.reduce((ways, length) => ways / factorial(length), factorial(total));
}

describe('the explorer of interleavings', () => {
  it('runs every schedule of two actors exactly once', () => {
    const seen: string[] = [];
    const { schedules, violation } = explore(() => {
      const notes: string[] = [];
      return {
        actors: { a: noting('a', 2, notes), b: noting('b', 2, notes) },
        check: () => {
          seen.push(notes.join(' '));
        },
      };
    });
    expect(violation).toBeUndefined();
    expect(schedules).toBe(6);
    expect(seen.sort()).toEqual([
      'a1 a2 b1 b2',
      'a1 b1 a2 b2',
      'a1 b1 b2 a2',
      'b1 a1 a2 b2',
      'b1 a1 b2 a2',
      'b1 b2 a1 a2',
    ]);
  });

  it.each([[[5, 4]], [[1, 7]], [[3, 3, 2]], [[0, 3]]])(
    'finds as many schedules as there are merges of %j steps',
    (lengths) => {
      const actors = Object.fromEntries(lengths.map((steps, i) => [`actor ${i}`, noting(`${i}`, steps)]));
      expect(explore(() => ({ actors })).schedules).toBe(merges(...lengths));
    },
  );

  it('lets the mortal actor live, and die before each of its steps, at every point of the others', () => {
    const [mortal, other] = [3, 4];
    const actors = { a: noting('a', mortal), b: noting('b', other) };
    // A death before step k stands in the schedule as one step behind k - 1 others.
    const deaths = [1, 2, 3].reduce((sum, length) => sum + merges(length, other), 0);
    expect(explore(() => ({ actors, mortal: 'a' })).schedules).toBe(merges(mortal, other) + deaths);
  });

  it('starts the heir at the moment of the death, and not without one', () => {
    const endings = new Set<string>();
    explore(() => {
      const notes: string[] = [];
      return {
        actors: { a: noting('a', 2, notes) },
        mortal: 'a',
        heir: noting('heir', 1, notes),
        check: () => {
          endings.add(notes.join(' '));
        },
      };
    });
    expect([...endings].sort()).toEqual(['a1 a2', 'a1 heir1', 'heir1']);
  });

  it('runs a step that waits only when its condition holds, and names who waits in the end', () => {
    let ends = 0;
    const { schedules, violation } = explore(() => {
      let open = false;
      return {
        actors: {
          *opener() {
            yield 'open';
            open = true;
          },
          *guest() {
            yield { step: 'enter', when: () => open };
            expect(open).toBe(true);
            yield { step: 'enter a door that never opens', when: () => false };
          },
        },
        check: (waiting) => {
          ends++;
          expect(waiting).toEqual(['guest']);
        },
      };
    });
    expect({ schedules, violation, ends }).toEqual({ schedules: 1, violation: undefined, ends: 1 });
  });

  it('reports the first schedule that breaks the rule, step by step', () => {
    const found = explore(() => {
      let shared = 0;
      return {
        actors: {
          *a() {
            yield 'load';
            const before = shared;
            yield 'store';
            shared = before + 1;
          },
          *b() {
            yield 'load';
            const before = shared;
            yield 'store';
            shared = before + 1;
          },
        },
        check: () => {
          if (shared !== 2) throw new Error(`counted ${shared} of 2`);
        },
      };
    });
    expect(found).toEqual({
      schedules: 2,
      violation: 'counted 1 of 2\n  1. a: load\n  2. b: load\n  3. a: store\n  4. b: store',
    });
  });

  it('reports an actor that throws, and where the mortal one died', () => {
    const found = explore(() => ({
      actors: { a: noting('a', 1) },
      mortal: 'a',
      *heir() {
        yield 'inherit';
        throw new Error('nothing is left');
      },
    }));
    expect(found.violation).toBe('nothing is left\n  1. a: dies before "step 1"\n  2. heir: inherit');
  });

  it('refuses a scenario that is not the same in every run', () => {
    let runs = 0;
    const found = explore(() => ({ actors: { a: noting('a', 2), b: noting('b', runs++ === 0 ? 2 : 0) } }));
    expect(found.violation).toContain('not the same in every run');
  });
});
