import { expect, it } from 'vitest';
import { runProgram } from './programs.js';

it('resident memory stays within 5% from the third million ticks to the twelfth', async () => {
  const { code, errors, lines } = await runProgram('memory', ['12']);
  expect({ code, errors }).toEqual({ code: 0, errors: '' });
  const [{ residentMib, ...ledger }] = lines as { residentMib: number[]; processed: number; exact: boolean }[];
  expect(ledger).toEqual({ processed: 12e6, exact: true });
  process.stdout.write(
    `resident memory by million ticks: ${residentMib.map((mib) => mib.toFixed(1)).join(', ')} MiB\n`,
  );
  // The first ones, some 60 ms each, are the engine's: it compiles, and lets its young generation grow.
  expect(residentMib[11]).toBeLessThan(residentMib[2] * 1.05);
});

it('nothing is kept of subscriptions that came and went, beyond the hundred that the metrics show', async () => {
  const { code, errors, lines } = await runProgram('churn', ['200', '500'], ['--expose-gc']);
  expect({ code, errors }).toEqual({ code: 0, errors: '' });
  const [{ heapsKib }] = lines as { heapsKib: [number, number] }[];
  // A promise that each call to a thread leaves behind, as Promise.race does, is 1,600 KiB here; compiled code grows by 400.
  expect(heapsKib[1] - heapsKib[0]).toBeLessThan(800);
});
