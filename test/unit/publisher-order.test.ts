/** Lanes of a thread and of those that have taken over from it: one publisher, whose events stay in order. */
import { describe, expect, it } from 'vitest';
import { ProducerBlock } from '../../src/shared/layout.js';
import { Outbox } from '../../src/shared/outbox.js';
import type { Producer } from '../../src/main/record.js';
import type { ResolvedSubscribeOptions } from '../../src/main/subscribe-options.js';
import { CATALOG, KEYS, producerOf, TestEngine } from '../support/engine.js';

const PRODUCERS = 6;

/** A subscription of ticks, and threads that publish them one after the other. */
class Publishers {
  readonly test = new TestEngine({ producers: PRODUCERS });
  readonly seen: number[] = [];
  readonly record;
  #index = 1;

  constructor(options: Partial<ResolvedSubscribeOptions> = {}) {
    this.record = this.test.subscribe('TICK', ({ n }) => void this.seen.push(n), options);
  }

  /** Fresh lanes of a thread. */
  add(thread: number, index = this.#index++): { readonly producer: Producer; publish(...numbers: number[]): void } {
    const { test, record } = this;
    const producer = producerOf(test.lanes, index, thread);
    record.readFromStart(producer);
    const { block } = producer;
    const warn = (): void => undefined;
    const outbox = new Outbox(CATALOG, new ProducerBlock(block.source), test.lanes, 'a thread', true, warn);
    const [member] = record.members;
    const reads = [{ id: member.id, read: member.readSpec(producer) }];
    test.engine.addProducer({ index, thread, block: block.source }, reads);
    return {
      producer,
      publish: (...numbers) => {
        for (const n of numbers) void outbox.publish({ type: 'TICK', n });
      },
    };
  }

  async run(): Promise<number[]> {
    this.test.start();
    await this.test.drained();
    await this.test.stop();
    return this.seen;
  }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, n) => from + n);

describe("the events of a publisher's incarnations", () => {
  it.each<[string, Partial<ResolvedSubscribeOptions>]>([
    ['one delivery after the other', {}],
    ['several in flight, by key', { mode: 'claimed', concurrency: 4, keys: KEYS }],
  ])(
    'reach a subscription with %s in the order of the incarnations, whichever was published to last',
    async (_, options) => {
      const publishers = new Publishers(options);
      // More than a burst in each, so that taking turns would show.
      const first = publishers.add(1);
      const second = publishers.add(1);
      const third = publishers.add(1);
      third.publish(...range(800, 1_200));
      second.publish(...range(400, 800));
      first.publish(...range(0, 400));
      expect(await publishers.run()).toEqual(range(0, 1_200));
      expect(publishers.record.metrics()).toMatchObject({ owed: 1_200, processed: 1_200, exact: true });
    },
  );

  it('wait also behind an incarnation that has published nothing', async () => {
    const publishers = new Publishers();
    const first = publishers.add(1);
    publishers.add(1);
    publishers.add(1).publish(...range(300, 600));
    first.publish(...range(0, 300));
    expect(await publishers.run()).toEqual(range(0, 600));
  });

  it('are ordered by when the lanes were made, not by their index, and without one that is gone', async () => {
    const publishers = new Publishers();
    const first = publishers.add(1, 5);
    publishers.add(1, 4);
    publishers.add(1, 1).publish(...range(300, 600));
    publishers.test.engine.removeProducer(4);
    first.publish(...range(0, 300));
    expect(await publishers.run()).toEqual(range(0, 600));
  });

  it('do not wait for those of another publisher', async () => {
    const publishers = new Publishers();
    publishers.add(1).publish(...range(0, 600));
    publishers.add(2).publish(...range(1_000, 1_600));
    const seen = await publishers.run();
    const turns = seen.filter((n, at) => at > 0 && n < 1_000 !== seen[at - 1] < 1_000);
    expect(turns.length).toBeGreaterThan(1);
  });
});
