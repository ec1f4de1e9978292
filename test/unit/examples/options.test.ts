import { describe, expect, it } from 'vitest';
import { parseOptions, UsageError } from '../../../examples/market-data/options.js';

function parse(...args: string[]) {
  return parseOptions(args, () => undefined);
}

function refusal(...args: string[]): string {
  try {
    parse(...args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    expect(error.exitCode).toBe(2);
    expect(error.message).not.toMatch(/\n/);
    return error.message;
  }
  throw new Error(`${args.join(' ')} was accepted`);
}

describe('the command line of the example', () => {
  it('runs a simulated exchange for ten seconds by default', () => {
    const options = parse();
    expect(options).toMatchObject({ seconds: 10, rate: 50_000, instruments: 8, seed: 1, json: false });
    expect(options.feed).toBeUndefined();
    expect(options.threads).toBeGreaterThanOrEqual(2);
  });

  it('publishes a feed as fast as the bus takes it, to its end', () => {
    expect(parse('--feed', 'day.csv')).toMatchObject({ feed: 'day.csv', seconds: Infinity, rate: 0 });
    expect(parse('--feed', 'day.csv', '--rate', '100', '--seconds', '3')).toMatchObject({ seconds: 3, rate: 100 });
  });

  it('takes every flag', () => {
    const args = '--threads 4 --seconds 2 --rate 0 --instruments 3 --seed 9 --kill-every 500 --json'.split(' ');
    const taken = { threads: 4, seconds: 2, rate: 0, instruments: 3, seed: 9, killEvery: 500, json: true };
    expect(parse(...args)).toEqual(taken);
  });

  it('makes a share of the four handlers fail, not of the pipeline', () => {
    expect(parse('--faults', '0.25')).toMatchObject({ faults: 0.25 });
    expect(parse('--faults', '0')).toMatchObject({ faults: 0 });
    expect(refusal('--faults', '0.5', '--pipeline')).toContain('not with --pipeline');
  });

  it.each([
    ['--threads', '0', 'from 1 to 64'],
    ['--threads', '65', 'from 1 to 64'],
    ['--threads', 'two', 'from 1 to 64'],
    ['--seconds', '0', 'from 1 to 86400'],
    ['--seconds', '1.5', 'from 1 to 86400'],
    ['--rate', '-1', 'from 0 to 100000000'],
    ['--rate', '1e3', 'from 0 to 100000000'],
    ['--instruments', '1001', 'from 1 to 1000'],
    ['--kill-every', '0', 'from 1 to 100000000'],
    ['--faults', '1.5', 'a number from 0 to 1'],
    ['--faults', 'some', 'a number from 0 to 1'],
    ['--seed', '4294967296', 'from 0 to 4294967295'],
    ['--feed', '', 'the path of a file'],
  ])('refuses %s %s, naming the flag, the value and what is accepted', (flag, value, accepted) => {
    const message = refusal(`${flag}=${value}`);
    expect(message).toContain(flag);
    expect(message).toContain(`'${value}'`);
    expect(message).toContain(accepted);
  });

  it('refuses unknown flags with the nearest known one, missing values and stray words', () => {
    expect(refusal('--thread', '2')).toContain("unknown option '--thread' (Did you mean --threads?)");
    expect(refusal('--seed')).toContain("'--seed <n>' argument missing");
    expect(refusal('day.csv')).toContain("unexpected argument 'day.csv'");
  });

  it('shows help when asked, with every flag, and that is no error', () => {
    let shown = '';
    const ask = (): unknown =>
      parseOptions(['--help'], (text) => {
        shown += text;
      });
    expect(ask).toThrow(expect.objectContaining({ exitCode: 0, message: '' }) as Error);
    for (const flag of ['feed', 'threads', 'seconds', 'rate', 'instruments', 'seed', 'json', 'help']) {
      expect(shown).toContain(`--${flag}`);
    }
  });
});
