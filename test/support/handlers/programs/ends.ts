// A program that uses a bus in the way that its argument names, and then has nothing more to do. It prints how it went, and
// when it ends, how long it took from there: whatever still keeps the process alive would show.
import { createBus, workerHandlers } from 'lanebus';
import { catalog, type Tick } from '../catalog.js';
import type * as record from '../record.js';
import type * as hang from '../hang.js';

const handlers = workerHandlers<typeof record>(new URL('../record.js', import.meta.url));
const hanging = workerHandlers<typeof hang>(new URL('../hang.js', import.meta.url));
const tick = (n: number): Tick => ({ type: 'TICK', n, symbol: 'ESH4', price: 1 });

let doneAt = 0;
process.on('exit', () => {
  process.stdout.write(`${JSON.stringify({ keptAliveMs: performance.now() - doneAt })}\n`);
});

function done(result: unknown): void {
  process.stdout.write(`${JSON.stringify(result)}\n`);
  doneAt = performance.now();
}

const ways: Readonly<Record<string, () => Promise<unknown>>> = {
  async 'stop after traffic'() {
    const bus = createBus(catalog, { threads: 2, logger: false });
    bus.subscribe('TICK', handlers.quiet);
    bus.subscribe('TICK', () => undefined);
    await bus.start();
    for (let n = 0; n < 1000; n++) await bus.publish(tick(n));
    return bus.stop();
  },
  async 'stop right after start'() {
    const bus = createBus(catalog, { threads: 2, logger: false });
    await bus.start();
    return bus.stop();
  },
  async 'stop while starting'() {
    const bus = createBus(catalog, { threads: 2, logger: false });
    bus.subscribe('TICK', handlers.quiet);
    const started = bus.start().catch((error: unknown) => (error as { code: string }).code);
    const report = await bus.stop();
    return { ...report, started: await started };
  },
  // As the one above, in the middle of the set-up of the threads.
  async 'stop late while starting'() {
    const codes = new Set<string>();
    for (let ms = 10; ms < 70; ms += 2) {
      const bus = createBus(catalog, { threads: 2, logger: false });
      bus.subscribe('TICK', handlers.quiet);
      const started = bus.start().catch((error: unknown) => codes.add((error as { code: string }).code));
      await new Promise((resolve) => setTimeout(resolve, ms));
      await bus.stop();
      await started;
    }
    return { codes: [...codes] };
  },
  async 'stop without start'() {
    const bus = createBus(catalog, { logger: false });
    bus.subscribe('TICK', handlers.quiet);
    return bus.stop();
  },
  async 'never start'() {
    const bus = createBus(catalog, { logger: false });
    bus.subscribe('TICK', handlers.quiet);
    return Promise.resolve({ state: bus.metrics().state });
  },
  async 'a start whose threads die'() {
    // Before they are asked anything, so that nothing but the bus keeps the process alive between two tries.
    const execArgv = ['--import', 'data:text/javascript,throw new Error("no luck\\nat all")'];
    const bus = createBus(catalog, { threads: 1, logger: false, execArgv });
    bus.subscribe('TICK', handlers.quiet);
    const { code, message } = await bus.start().then(
      () => ({ code: 'started', message: '' }),
      (error: unknown) => error as { code: string; message: string },
    );
    return { code, message };
  },
  async 'a start that fails'() {
    const bus = createBus(catalog, { threads: 2, logger: false });
    bus.subscribe('TICK', handlers.quiet);
    bus.subscribe('TICK', workerHandlers<typeof record>(new URL('../missing.js', import.meta.url)).quiet);
    const error = (await bus.start().catch((caught: unknown) => caught)) as { code: string };
    return { code: error.code, state: bus.metrics().state };
  },
  async 'blocked publishers with a long limit'() {
    const bus = createBus(catalog, {
      threads: 1,
      logger: false,
      lanes: { market: { capacityBytes: 1024, timeoutMs: 60_000 } },
    });
    const subscription = bus.subscribe('TICK', handlers.quiet);
    await bus.start();
    subscription.pause();
    let n = 0;
    while (bus.tryPublish(tick(n)) === 'published') n++;
    const blocked = bus.publish(tick(n)).catch((error: unknown) => (error as { code: string }).code);
    const report = await bus.stop({ timeoutMs: 20 });
    return { ...report, blocked: await blocked };
  },
  async 'admitted publishers with a long limit'() {
    const bus = createBus(catalog, {
      threads: 1,
      logger: false,
      lanes: { market: { capacityBytes: 1024, timeoutMs: 60_000 } },
    });
    bus.subscribe('TICK', handlers.quiet);
    await bus.start();
    const published = [];
    for (let n = 0; n < 1000; n++) published.push(bus.publish(tick(n)));
    await Promise.all(published);
    return bus.stop();
  },
  async 'a hung thread'() {
    const bus = createBus(catalog, { threads: 2, logger: false, timeoutMs: 0, graceMs: 50 });
    bus.subscribe('TICK', hanging.loopOnTick);
    await bus.start();
    await bus.publish({ ...tick(0), symbol: 'LOOP' });
    return bus.stop({ timeoutMs: 50 });
  },
  async 'a handler that never settles, on the main thread'() {
    const bus = createBus(catalog, { threads: 1, logger: false, timeoutMs: 0, graceMs: 50 });
    bus.subscribe('TICK', () => new Promise(() => undefined));
    await bus.start();
    await bus.publish(tick(0));
    return bus.stop({ timeoutMs: 50 });
  },
  async 'stop after a take-over'() {
    const bus = createBus(catalog, { threads: 1, logger: false, timeoutMs: 50, graceMs: 0 });
    bus.subscribe('TICK', hanging.loopOnTick);
    await bus.start();
    await bus.publish({ ...tick(0), symbol: 'LOOP' });
    await bus.drain();
    return bus.stop();
  },
};

done(await ways[process.argv[2]]());
