// Compiled with the module settings of a user, then run.
import { type BusOptions, createBus, defineEvents, u32, workerHandlers } from 'lanebus';

export const catalog = defineEvents({
  NUMBER: { priority: 30, payload: { n: u32() } },
  SQUARE: { priority: 20, payload: { n: u32() } },
});

for (const backend of ['parallel', 'inline'] satisfies BusOptions['backend'][]) {
  const bus = createBus(catalog, { backend, threads: 1, logger: false });
  const { square } = workerHandlers<typeof import('./handlers.mjs')>(new URL('./handlers.mjs', import.meta.url));
  bus.subscribe('NUMBER', square);
  bus.subscribe('SQUARE', ({ n }) => {
    if (n !== 49) throw new Error(`7 squared is not ${n}`);
  });
  await bus.start();
  await bus.publish({ type: 'NUMBER', n: 7 });
  await bus.drain();
  const published = bus.metrics().lanes['signal']?.published;
  const failed = bus.deadLetters.count();
  if (published !== 1 || failed !== 0) throw new Error(`${backend}: published ${published}, failed ${failed}`);
  await bus.stop();
}
process.stdout.write(`TypeScript, ES module: passed on Node ${process.version}\n`);
