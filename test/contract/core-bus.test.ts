// examples/core-bus: the same application on every backend, with the same output.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { backends } from 'lanebus';
import { describe, expect, it } from 'vitest';
import { PATIENCE_MS } from './buses.js';

const PROGRAM = fileURLToPath(new URL('../../build/examples/core-bus/main.js', import.meta.url));

const SUMMARY = `\
SYSTEM_STATE_CHANGE 1
POTENTIAL_HALT_TRIGGER 1
EXECUTION_REPORT 5
TRADE_SIGNAL_APPROVED 5
TRADE_SIGNAL_REJECTED 7
TRADE_SIGNAL_PROPOSED 12
PREDICTION_GENERATED 40
FEATURES_CALCULATED 40
MARKET_DATA_L2 40
position 5, everything delivered: true
`;

/** Rejects unless the program ends by itself with exit code 0. */
function run(backend: string | undefined): Promise<{ stdout: string; stderr: string }> {
  const env = { ...process.env, NODE_OPTIONS: '', ...(backend !== undefined && { LANEBUS_BACKEND: backend }) };
  return promisify(execFile)(process.execPath, [PROGRAM], { env, timeout: PATIENCE_MS });
}

describe('the core bus example', () => {
  it.each([undefined, ...Object.keys(backends)])('trades until it is halted: backend %s', async (backend) => {
    expect(await run(backend)).toEqual({ stdout: SUMMARY, stderr: '' });
  });

  it('says which backends there are', async () => {
    const accepted = "'parallel', 'inline', or an object with createBus(catalog, options)";
    await expect(run('nowhere')).rejects.toMatchObject({
      code: 1,
      stderr: `1 problem in the options of createBus\nbackend: got 'nowhere'; expected ${accepted}\n`,
    });
  });
});
