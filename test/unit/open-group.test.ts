import { describe, expect, it, vi } from 'vitest';
import { defineEvents, type EventType } from '../../src/shared/catalog.js';
import { compileEncoder, compilePublish } from '../../src/shared/codec.js';
import { f64, text, u32 } from '../../src/shared/fields.js';
import type { Publisher } from '../../src/shared/lane.js';
import { SymbolWriter } from '../../src/shared/symbols.js';
import { symbolTable } from '../support/codec.js';
import { burstingClock, Gatekeeper, laneOf } from '../support/lanes.js';
import { SeededRandom } from '../support/random.js';

const CAPACITY = 4096;
const MAX_RECORD = 1024;
const { types } = defineEvents({
  TICK: { priority: 1, payload: { price: f64(), size: u32() } },
  NOTE: { priority: 1, payload: { text: text() } },
});

/** A lane in the middle of a burst, and two ways to publish on it. */
function market(position = 0) {
  const publisher: Publisher = { clock: burstingClock(), mortal: false, origin: undefined };
  publisher.clock.stamp = 7;
  const { block, lane } = laneOf({
    capacity: CAPACITY,
    types: 2,
    maxRecordBytes: MAX_RECORD,
    position,
    sequence: 2 ** 31 - 5,
    publisher,
  });
  const reader = new Gatekeeper(lane, 1, [1, 2]);
  lane.setGates([reader.gate]);
  const claim = vi.spyOn(lane, 'claim');
  const symbols = new SymbolWriter(symbolTable(), 'main thread');
  const compiled = types.map((type) => compilePublish(type, symbols, lane, publisher));
  const encoders = types.map((type) => compileEncoder(type, symbols, lane));
  return {
    lane,
    reader,
    publisher,
    /** As `publish` does it: in one go, if the group is open. */
    compiled: (type: EventType, event: object): boolean => compiled[type.index - 1](event),
    /** Step by step. */
    plain: (type: EventType, event: object): boolean => {
      if (encoders[type.index - 1](event) < 0) return false;
      lane.commit(type.index);
      return true;
    },
    claims: () => claim.mock.calls.length,
    state: () => ({
      ring: Buffer.from(lane.memory.u8).toString('hex'),
      control: [...lane.control],
      published: [...block.published],
      claimed: lane.claimed,
      sequence: lane.group.sequence,
    }),
  };
}

type Market = ReturnType<typeof market>;

describe('an open group', () => {
  it.each([0, 2 ** 31 - 8 * 40])(
    'leaves what claim and commit leave, whatever happens in between (from %i)',
    (from) => {
      const random = new SeededRandom(from + 9);
      const [open, plain] = [market(from), market(from)];
      let written = 0;
      const steps: Record<string, (market: Market, publish: Market['plain'], dice: number) => unknown> = {
        tick: (_, publish, dice) => publish(types[0], { type: 'TICK', price: dice / 3, size: dice }),
        note: (_, publish, dice) => publish(types[1], { type: 'NOTE', text: 'x'.repeat(dice % 200) }),
        tooLong: (_, publish) => {
          expect(() => publish(types[1], { type: 'NOTE', text: 'x'.repeat(MAX_RECORD) })).toThrow('exceeds lane');
        },
        refused: (_, publish) => {
          expect(() => publish(types[0], { type: 'TICK', price: 1, size: -1 })).toThrow('size');
        },
        derived: ({ publisher }, publish, dice) => {
          publisher.origin = { publisher: 3, rank: 1, sequence: dice };
          const published = publish(types[0], { type: 'TICK', price: 1, size: 1 });
          publisher.origin = undefined;
          return published;
        },
        batch: ({ lane }) => {
          if (lane.claim(16, 1) < 0) return;
          if (lane.claim(8, 2) < 0) lane.rollback();
          else lane.commitAll([1, 2]);
        },
        rollback: ({ lane }) => {
          lane.claim(16, 1);
          lane.rollback();
        },
        read: ({ lane, reader }) => {
          Atomics.store(reader.gate.words, reader.gate.index, lane.cursor);
        },
        gates: ({ lane, reader }) => {
          lane.setGates([reader.gate]);
        },
        flush: ({ lane }) => {
          lane.flush();
        },
      };
      // Most of what happens is ticks.
      const names = [...Object.keys(steps), ...new Array<string>(40).fill('tick')];
      for (let step = 0; step < 20_000; step++) {
        const name = names[random.below(names.length)];
        const dice = random.below(1000);
        const outcome = steps[name](open, open.compiled, dice);
        expect(outcome).toBe(steps[name](plain, plain.plain, dice));
        if (outcome === true) written++;
        if (step % 50 === 0) {
          open.lane.flush();
          plain.lane.flush();
        }
        if (step % 50 === 0 || name !== 'tick') {
          const { control, ...rest } = open.state();
          const { control: plainControl, ...plainRest } = plain.state();
          expect(rest.claimed).toBe(plainRest.claimed);
          expect(rest.sequence).toBe(plainRest.sequence);
          if (step % 50 === 0) {
            expect(control).toEqual(plainControl);
            expect(rest).toEqual(plainRest);
          }
        }
      }
      expect(written).toBeGreaterThan(5_000);
      expect(open.claims()).toBeLessThan(plain.claims() / 2);
    },
  );

  it('becomes visible with its 16th event', () => {
    const { lane, compiled } = market();
    const start = lane.cursor;
    for (let event = 1; event < 16; event++) {
      compiled(types[0], { type: 'TICK', price: 1, size: event });
      expect(lane.cursor).toBe(start);
    }
    compiled(types[0], { type: 'TICK', price: 1, size: 16 });
    expect(lane.cursor).toBe(start + 16 * 32);
  });

  it('is never written while a batch is being read', () => {
    const { lane, compiled } = market();
    compiled(types[0], { type: 'TICK', price: 1, size: 1 });
    lane.claim(16, 1);
    expect(() => compiled(types[0], { type: 'TICK', price: 1, size: 2 })).toThrow('published another one');
  });

  it('takes as many stamps from the clock as it has events', () => {
    const { lane, compiled, publisher } = market();
    publisher.clock.left = 1000;
    for (let event = 0; event < 21; event++) compiled(types[0], { type: 'TICK', price: 1, size: 1 });
    lane.flush();
    expect(publisher.clock.left).toBe(1000 - 21);
  });
});
