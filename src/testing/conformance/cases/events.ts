import assert from 'node:assert/strict';
import { ErrorCode, type EventOf } from '../../../main/index.js';
import { section } from '../case.js';
import type { C, Tick } from '../catalog.js';
import { assertCounts, range, refusal, Reports } from '../scene.js';

export const events = section('1. Events', ({ both, once }) => {
  both('An event reaches its handler as it was published, with fields of every kind.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    bus.subscribe('WIDE', scene.on.recordWide);
    await bus.start();
    const numbers = { u32: 2 ** 32 - 1, u8: 255, bool: true, i64: -(2n ** 63n), u64: 2n ** 64n - 1n };
    const texts = { side: 'SELL', text: 'naïve 😀', given: '' } as const;
    const values = { bytes: new Uint8Array([0, 255]), any: { deep: [new Map([[1, new Set([2n])]])] } };
    const event: EventOf<C, 'WIDE'> = { type: 'WIDE', run: scene.run, n: -1, ...numbers, ...texts, ...values };
    await bus.publish(event);
    await scene.settle(bus);
    const [{ bytes, left, ...rest }] = reports.data<EventOf<C, 'WIDE'>>('wide');
    const { bytes: given, ...others } = event;
    assert.deepEqual(rest, others);
    assert.deepEqual([...bytes], [...given]);
    assert.equal(left, undefined);
  });

  both("An event is its handler's own copy: what a handler does to it nobody else sees.", async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    bus.subscribe('TICK', scene.on.spoil);
    bus.subscribe('TICK', scene.on.record);
    const untouched: Tick[] = [];
    bus.subscribe('TICK', (tick) => void untouched.push(tick));
    await bus.start();
    const event = scene.tick(7);
    await bus.publish(event);
    await scene.settle(bus);
    assert.deepEqual(reports.data('spoilt'), ['SPOILT']);
    assert.deepEqual(reports.numbers('seen'), [7]);
    assert.deepEqual(untouched, [scene.tick(7)]);
    assert.deepEqual(event, scene.tick(7));
  });

  both('An event is published as it is when it is offered, whatever is done to it later.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    const ticks = bus.subscribe('TICK', scene.on.record);
    await bus.start();
    ticks.pause();
    const event = scene.tick(1);
    const published = bus.publish(event);
    event.n = 2;
    await published;
    ticks.resume();
    await scene.settle(bus);
    assert.deepEqual(reports.numbers('seen'), [1]);
  });

  const BAD = 'An event that does not fit its type is refused with an error that names the type and the field.';
  const misfits: readonly [what: string, spoil: (event: Tick) => object, field: string][] = [
    ['a wrong value', (event) => ({ ...event, price: 'free' }), 'price'],
    ['a number out of range', (event) => ({ ...event, n: 2 ** 31 }), 'n'],
    ['a field that is missing', ({ type, run, n, price }) => ({ type, run, n, price }), 'symbol'],
    ['a field too many', (event) => ({ ...event, colour: 'red' }), 'colour'],
  ];
  for (const [what, spoil, field] of misfits) {
    once(
      BAD,
      async (scene) => {
        const bus = scene.bus();
        await bus.start();
        const bad = spoil(scene.tick(1)) as Tick;
        const { message } = await refusal(() => bus.publish(bad), ErrorCode.INVALID_EVENT);
        assert.match(message, /TICK/);
        assert.match(message, new RegExp(`\\b${field}\\b`));
      },
      what,
    );
  }

  both(
    BAD,
    async (scene) => {
      const bus = scene.bus();
      const reports = new Reports(scene, bus);
      bus.subscribe('JOB', scene.on.publishBad);
      await bus.start();
      await bus.publish(scene.job(1));
      await scene.settle(bus);
      const [{ code, message }] = reports.data<{ code: string; message: string }>('refused');
      assert.equal(code, ErrorCode.INVALID_EVENT);
      assert.match(message, /TICK.*\bprice\b/s);
    },
    'by context.publish',
  );

  once(
    '`tryPublish` throws for an event that does not fit, and a type that is not in the catalog is refused likewise.',
    async (scene) => {
      const bus = scene.bus();
      await bus.start();
      const bad = { ...scene.tick(1), price: 'free' } as never;
      await refusal(() => bus.tryPublish(bad), ErrorCode.INVALID_EVENT);
      const unknown = { type: 'TOCK', run: scene.run, n: 1 } as never;
      for (const publish of [
        () => bus.publish(unknown),
        () => bus.tryPublish(unknown),
        () => bus.publishBatch([unknown]),
      ]) {
        assert.match((await refusal(publish, ErrorCode.UNKNOWN_TYPE)).message, /TOCK/);
      }
      assert.match(
        (await refusal(() => bus.subscribe('TOCK' as never, () => undefined), ErrorCode.UNKNOWN_TYPE)).message,
        /TOCK/,
      );
    },
  );

  once('Nothing of an event that is refused is written, and it counts as `rejected`.', async (scene) => {
    const bus = scene.bus();
    const seen: number[] = [];
    bus.subscribe('TICK', ({ n }) => void seen.push(n));
    await bus.start();
    await bus.publish(scene.tick(1));
    await refusal(() => bus.publish({ ...scene.tick(2), n: 0.5 }), ErrorCode.INVALID_EVENT);
    await bus.publish(scene.tick(3));
    await scene.settle(bus);
    assert.deepEqual(seen, [1, 3]);
    assertCounts(bus.metrics().lanes.market, { published: 2, rejected: 1, dropped: 0 });
  });

  once(
    'An event that is larger than its lane accepts is refused with `ERR_LANEBUS_RECORD_TOO_LARGE`.',
    async (scene) => {
      const bus = scene.bus({ lanes: { market: { maxRecordBytes: 256 } } });
      await bus.start();
      const { message } = await refusal(() => bus.publish(scene.job(1, 'x'.repeat(300))), ErrorCode.RECORD_TOO_LARGE);
      assert.match(message, /market/);
      await bus.publish(scene.job(1, 'x'.repeat(100)));
    },
  );

  once(
    'More different symbols than the bus has room for are refused with `ERR_LANEBUS_SYMBOL_TABLE_FULL`.',
    async (scene) => {
      const bus = scene.bus({ symbols: { max: 3 } });
      const seen: string[] = [];
      bus.subscribe('TICK', ({ symbol }) => void seen.push(symbol));
      await bus.start();
      for (const symbol of 'ABC') await bus.publish(scene.tick(1, symbol));
      await refusal(() => bus.publish(scene.tick(1, 'D')), ErrorCode.SYMBOL_TABLE_FULL);
      await bus.publish(scene.tick(1, 'B'));
      await scene.settle(bus);
      assert.deepEqual(seen, ['A', 'B', 'C', 'B']);
    },
  );

  once('A batch with one bad event is refused as a whole.', async (scene) => {
    const bus = scene.bus();
    const seen: number[] = [];
    bus.subscribe('TICK', ({ n }) => void seen.push(n));
    await bus.start();
    const batch = [scene.tick(1), scene.tick(2), { ...scene.tick(3), price: 'free' } as unknown as Tick];
    await refusal(() => bus.publishBatch(batch), ErrorCode.INVALID_EVENT);
    await bus.publishBatch(range(3, 10).map((n) => scene.tick(n)));
    await scene.settle(bus);
    assert.deepEqual(seen, [10, 11, 12]);
    assertCounts(bus.metrics().lanes.market, { published: 3, rejected: 3 });
  });

  both('What `context.publish` publishes reaches its subscriptions like any other event.', async (scene) => {
    const bus = scene.bus();
    const reports = new Reports(scene, bus);
    bus.subscribe(['TICK', 'SIGNAL', 'ORDER'], scene.on.chain);
    const signals: number[] = [];
    bus.subscribe('SIGNAL', ({ n }) => void signals.push(n));
    await bus.start();
    for (const n of range(20)) await bus.publish(scene.tick(n));
    await scene.settle(bus);
    assert.deepEqual(reports.numbers('chained'), range(20));
    assert.deepEqual(signals, range(20));
  });
});
