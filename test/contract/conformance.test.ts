// Every backend that comes with Lanebus keeps docs/contract.md, and the suite that says so tells those that do not.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { backends } from 'lanebus';
import { type ConformanceCase, conformanceCases, conformanceSuite, heldElsewhere } from 'lanebus/testing';
import { describe, expect, it } from 'vitest';
import { brokenBackends } from '../support/conformance/broken.js';
import { CAPABILITIES, capabilityTable, contractText, sentencesOf } from '../support/conformance/contract-page.js';
import { parsePage, tableOf } from '../support/documents/markdown.js';

/** Made into broken ones. It has no threads to wait for. */
const sound = backends.inline;
/** For cases that a broken backend lets wait in vain; enough for the sound one. */
const PATIENCE_MS = 2_000;

for (const backend of Object.values(backends)) conformanceSuite({ backend, runner: { describe, it } });

describe('docs/contract.md and the cases', () => {
  const promised = sentencesOf(contractText());
  const able = conformanceCases({ parallelHandlers: true, endsHungHandlers: true, survivesCrashes: true });
  const unable = conformanceCases({ parallelHandlers: false, endsHungHandlers: false, survivesCrashes: false });
  const keyOf = ({
    sentence,
    section,
    needs,
  }: Pick<ConformanceCase, 'sentence' | 'section'> & { needs?: string | undefined }) =>
    `${section}: ${sentence}${needs === undefined ? '' : ` (${needs})`}`;

  it('have every sentence once, and every case has a name of its own', () => {
    expect(new Set(promised.map(({ sentence }) => sentence)).size).toBe(promised.length);
    for (const cases of [able, unable]) expect(new Set(cases.map(({ title }) => title)).size).toBe(cases.length);
    expect(able.length).toBeGreaterThanOrEqual(120);
  });

  it('agree: each sentence has a case or a reason why not, in its section and with its capability, and each case a sentence', () => {
    const instead = unable.flatMap((one) => (one.instead === undefined ? [] : [one.instead]));
    const held = [...able, ...heldElsewhere].map(keyOf);
    const counters = instead.map((sentence) => keyOf({ section: CAPABILITIES, sentence }));
    expect([...new Set([...held, ...counters])].sort()).toEqual(promised.map(keyOf).sort());
  });

  it('assert of whoever lacks a capability that what needs it is absent', () => {
    for (const [at, { claimed, needs, instead }] of unable.entries()) {
      expect(claimed).toBe(needs === undefined);
      expect(instead === undefined).toBe(claimed);
      expect(able[at]).toMatchObject({ claimed: true, needs, instead: undefined });
      if (instead !== undefined) expect(instead.startsWith(`Without \`${needs}\`, `)).toBe(true);
    }
  });

  it('say of each backend what it can do', () => {
    const { header, rows } = tableOf(parsePage('docs/contract.md', contractText()), 'Capability');
    expect([header, ...rows]).toEqual(capabilityTable());
  });
});

describe('the suite', () => {
  it('ends by itself on node:test, with the same cases, and all of them pass', async () => {
    const program = fileURLToPath(new URL('../../build/test/support/conformance/on-node-test.js', import.meta.url));
    const env = { ...process.env, BACKEND: 'inline', NODE_OPTIONS: '' };
    const child = spawn(process.execPath, ['--test', '--test-reporter=tap', program], {
      env,
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    const [code] = (await once(child, 'close')) as [number | null];
    expect(output).toMatch(/^# fail 0$/m);
    const expected = conformanceCases(backends.inline.capabilities).length;
    const passed = /^# pass (\d+)$/m.exec(output)?.[1];
    expect(Number(passed)).toBeGreaterThanOrEqual(expected);
    expect(code).toBe(0);
  }, 240_000);

  it('runs each case ten times at once under stress', async () => {
    const begun: number[] = [];
    let running = 0;
    let most = 0;
    const tests: (() => Promise<void>)[] = [];
    conformanceSuite({
      backend: {
        ...backends.inline,
        createBus: (catalog, options) => {
          begun.push(1);
          most = Math.max(most, ++running);
          const bus = backends.inline.createBus(catalog, options);
          return new Proxy(bus, {
            get: (target, name) => {
              const value: unknown = Reflect.get(target, name);
              if (name === 'stop') return (...given: []) => target.stop(...given).finally(() => running--);
              return typeof value === 'function' ? (value.bind(target) as unknown) : value;
            },
          });
        },
      },
      stress: true,
      runner: {
        describe: (_, body) => {
          body();
        },
        it: (title, body) => {
          if (title.startsWith('Publishing the same event to S subscriptions')) tests.push(body);
        },
      },
    });
    expect(tests).toHaveLength(2);
    for (const test of tests) await test();
    expect({ begun: begun.length, most }).toEqual({ begun: 20, most: 10 });
  });

  describe.each(brokenBackends(sound))('finds out a backend that $what', ({ backend, breaks }) => {
    const cases = conformanceCases(backend.capabilities);

    it.each(breaks)('%s', async (sentence) => {
      const holding = cases.filter((one) => one.sentence === sentence);
      expect(holding.length, `cases of "${sentence}"`).toBeGreaterThan(0);
      for (const one of holding) await one.run(sound, { patienceMs: PATIENCE_MS });
      const runs = await Promise.allSettled(holding.map((one) => one.run(backend, { patienceMs: PATIENCE_MS })));
      expect(runs.map(({ status }) => status)).toContain('rejected');
    });
  });
});
