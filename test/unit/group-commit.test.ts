import { setImmediate as turn } from 'node:timers/promises';
import { beforeEach, describe, expect, it } from 'vitest';
import { PublishClock } from '../../src/shared/clock.js';
import { Lane, type LaneConfig } from '../../src/shared/lane.js';
import { ConsumerBlock, ConsumerWord, ProducerBlock, SubscriptionBlock } from '../../src/shared/layout.js';
import { PARKED } from '../../src/shared/parking.js';

const CAPACITY = 4096;
const RECORD = 24;
const TICK = 1;
const BAR = 2;
/** Events of a turn that are always visible at once, and the size of a group after that: see lane.ts, clock.ts. */
const BEFORE_BURST = 32;
const GROUP = 16;

function makeLane(config: Partial<LaneConfig> = {}, mortal = false) {
  const block = ProducerBlock.create({ capacities: [CAPACITY], types: 2, symbols: 1, nameBytes: 64 });
  const reader = SubscriptionBlock.create({ lanes: 1, addresses: 1, flights: 1 });
  const consumer = ConsumerBlock.create();
  const lane = new Lane(
    block,
    0,
    { name: 'market', maxRecordBytes: CAPACITY / 2, urgent: false, ...config },
    { clock: new PublishClock(), mortal, origin: undefined },
  );
  lane.setGates([
    {
      id: 1,
      name: 'book',
      types: [TICK, BAR],
      words: reader.words,
      index: reader.gatingIndex(0),
      consumer: consumer.words,
      conflator: undefined,
    },
  ]);
  const publish = (type = TICK): boolean => {
    if (lane.claim(RECORD - 16, type) < 0) return false;
    lane.commit(type);
    return true;
  };
  return { block, consumer, lane, publish, visible: () => lane.cursor / RECORD };
}

describe('a burst', () => {
  let market: ReturnType<typeof makeLane>;
  beforeEach(async () => {
    await turn();
    market = makeLane();
    for (let event = 0; event < BEFORE_BURST; event++) market.publish();
  });

  it('is visible event by event as long as the turn has published no more than 32', () => {
    expect(market.visible()).toBe(BEFORE_BURST);
  });

  it('becomes visible in groups of 16 from then on', () => {
    for (let event = 1; event < GROUP; event++) {
      market.publish();
      expect(market.visible()).toBe(BEFORE_BURST);
    }
    market.publish();
    expect(market.visible()).toBe(BEFORE_BURST + GROUP);
  });

  it('is visible to its last event when the synchronous run ends', async () => {
    for (let event = 0; event < GROUP + 3; event++) market.publish();
    expect(market.visible()).toBe(BEFORE_BURST + GROUP);
    await Promise.resolve();
    expect(market.visible()).toBe(BEFORE_BURST + GROUP + 3);
  });

  it('ends its group with an event of another type', () => {
    market.publish(TICK);
    market.publish(BAR);
    expect(market.visible()).toBe(BEFORE_BURST + 1);
    expect([...market.block.published]).toEqual([0, BEFORE_BURST + 1, 0, 0]);
  });

  it('counts what is visible, and in the end everything', async () => {
    market.publish(TICK);
    market.publish(BAR);
    await Promise.resolve();
    expect([...market.block.published]).toEqual([0, BEFORE_BURST + 1, 1, 0]);
  });

  it('wakes its reader with the group', () => {
    Atomics.store(market.consumer.words, ConsumerWord.DOORBELL_INDEX, PARKED);
    for (let event = 1; event < GROUP; event++) market.publish();
    expect(Atomics.load(market.consumer.words, ConsumerWord.DOORBELL_INDEX)).toBe(PARKED);
    market.publish();
    expect(Atomics.load(market.consumer.words, ConsumerWord.DOORBELL_INDEX)).not.toBe(PARKED);
  });

  it('is visible to its last event when the lane is full', () => {
    while (market.publish());
    expect(market.visible()).toBe(Math.floor(CAPACITY / RECORD));
  });

  it('is over when a run publishes a single event, so that awaiting each one costs no microtasks', async () => {
    market.publish();
    await Promise.resolve();
    market.publish();
    expect(market.visible()).toBe(BEFORE_BURST + 2);
  });

  it('goes on over the runs of a loop that awaits each event, until the loop waits for something else', async () => {
    let published = BEFORE_BURST;
    const awaitEach = async (events: number): Promise<void> => {
      for (let event = 0; event < events; event++) {
        expect(market.publish()).toBe(true);
        published++;
        await Promise.resolve();
      }
    };
    await awaitEach(2 * BEFORE_BURST); // found to be alone in two runs
    await awaitEach(GROUP + 3);
    expect(market.visible()).toBeLessThan(published);
    expect(market.visible()).toBeGreaterThan(published - GROUP);
    await new Promise<void>((resolve) => {
      process.nextTick(resolve);
    });
    expect(market.visible()).toBe(published);
    await turn();
    await awaitEach(5);
    expect(market.visible()).toBe(published);
  });

  it('is over with the turn of the event loop', async () => {
    market.publish();
    market.publish();
    await turn();
    market.publish();
    expect(market.visible()).toBe(BEFORE_BURST + 3);
  });

  it('loses nothing of its group to a batch that is rolled back', () => {
    market.publish();
    market.lane.claim(RECORD - 16, TICK);
    market.lane.rollback();
    market.lane.flush();
    expect(market.visible()).toBe(BEFORE_BURST + 1);
  });
});

describe('no event is put off', () => {
  const burst = ({ publish }: ReturnType<typeof makeLane>): void => {
    for (let event = 0; event < BEFORE_BURST + 3; event++) publish();
  };

  it('on an urgent lane', () => {
    const control = makeLane({ urgent: true });
    burst(control);
    expect(control.visible()).toBe(BEFORE_BURST + 3);
  });

  it('by a thread that the process may outlive', () => {
    const pool = makeLane({}, true);
    burst(pool);
    expect(pool.visible()).toBe(BEFORE_BURST + 3);
  });
});
