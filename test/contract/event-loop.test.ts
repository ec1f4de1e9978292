import { expect, it } from 'vitest';
import { newBus } from './buses.js';

const tick = (n: number) => ({ type: 'TICK', symbol: 'ESH4', price: 1, n }) as const;

it('a loop that awaits every publish lets timers run, though its lane always has room', async () => {
  const bus = newBus();
  await bus.start();
  const timers = { fired: false };
  setTimeout(() => (timers.fired = true), 1);
  // If the event loop did not turn, the bound alone would end this.
  let published = 0;
  while (!timers.fired && published < 20_000_000) await bus.publish(tick(published++));
  expect(timers.fired).toBe(true);
});

it('publishing without a pause returns the same promise again and again', async () => {
  const bus = newBus();
  await bus.start();
  const promises = new Set<Promise<void>>();
  for (let n = 0; n < 1_000; n++) promises.add(bus.publish(tick(n)));
  expect(promises.size).toBeLessThanOrEqual(2);
  await Promise.all(promises);
});
