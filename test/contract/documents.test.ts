/** README, CONTRIBUTING and docs say what the code does: their programs run, their tables and names are those of the code. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createBus, type MetricsSnapshot } from 'lanebus';
import { beforeAll, describe, expect, it } from 'vitest';
import { resolveOptions } from '../../src/main/options.js';
import { resolveSubscribeOptions } from '../../src/main/subscribe-options.js';
import { defineEvents, isVariableLength } from '../../src/shared/catalog.js';
import { ErrorCode } from '../../src/shared/errors.js';
import { FIELD_KINDS, type Field } from '../../src/shared/fields.js';
import { problemsOf } from '../support/documents/commands.js';
import { rowsOf, slugOf, tableOf } from '../support/documents/markdown.js';
import { filesBelow, manifest, pageAt, pages, readText, ROOT } from '../support/documents/pages.js';
import { CompiledPrograms, LANGUAGES, programsOf } from '../support/documents/programs.js';

const readme = pageAt('README.md');
const withoutTicks = (cell: string): string => cell.replaceAll('`', '');

describe('the programs on the pages', () => {
  const programs = pages.flatMap(programsOf);
  let compiled: CompiledPrograms;

  beforeAll(() => {
    compiled = new CompiledPrograms(programs, ROOT, join(ROOT, 'build', 'documents'));
  });

  it.each(programs)('compile under strict settings: $name', (program) => {
    expect(compiled.problemsOf(program)).toEqual([]);
  });

  it.each(programs.filter(({ entry }) => entry !== undefined))(
    'end by themselves and print what the page shows: $name',
    async (program) => {
      const { stdout, stderr } = await compiled.run(program);
      expect(stderr).toBe('');
      if (program.output !== undefined) expect(stdout).toBe(program.output);
    },
  );

  it('the first example runs uncompiled as the README says', async () => {
    const example = programs.find(({ entry }) => entry === 'main.ts');
    const register = programs.find(({ entry }) => entry === 'register-tsx.js');
    if (example === undefined || register === undefined) throw new Error('the README does not show them any more');
    const { stdout } = await compiled.runSource(register, ['--import', './register-tsx.js', 'main.ts']);
    expect(stdout).toBe(example.output);
  });
});

describe('the other blocks on the pages', () => {
  it.each(pages)('are of a kind that is checked, and say why they are not run: $path', ({ path, blocks }) => {
    for (const { language, noRun, unknown, line } of blocks) {
      expect(LANGUAGES, `${path}:${line}`).toContain(language);
      expect(unknown, `${path}:${line}`).toEqual([]);
      expect(noRun, `${path}:${line}: no-run=REASON`).not.toBe('');
    }
  });

  it.each(pages)('are JSON where they say so: $path', ({ path, blocks }) => {
    for (const { text, line } of blocks.filter(({ language }) => language === 'json')) {
      expect(() => JSON.parse(text) as unknown, `${path}:${line}`).not.toThrow();
    }
  });

  it.each(pages)('are command lines that can be typed: $path', async (page) => {
    expect(await problemsOf(page)).toEqual([]);
  });
});

describe('the options in the README', () => {
  const catalog = defineEvents({});
  const defaults = resolveOptions({}, catalog);
  const bad = Symbol('bad');
  const nested = (path: string, value: unknown): unknown =>
    path.split('.').reduceRight((inner: unknown, name) => ({ [name]: inner }), value);
  /** What the check of an option says is accepted there. */
  const ruleOf = (check: (options: unknown) => unknown, path: string): string => {
    try {
      check(path === '' ? bad : nested(path, bad));
    } catch (error) {
      return /expected (.*)$/.exec(String(error))?.[1] ?? String(error);
    }
    throw new Error(`${path} accepts everything`);
  };
  /** The options of a section, from its rule. */
  const namesIn = (rule: string): string[] => /an object of: (.*)$/.exec(rule)?.[1].split(', ') ?? [];
  const shown = (value: unknown): string =>
    typeof value === 'number'
      ? value.toLocaleString('en-US')
      : typeof value === 'string'
        ? `'${value}'`
        : String(value);

  const checkBus = (options: unknown): unknown => resolveOptions(options, catalog);
  const checkSubscribe = (options: unknown): unknown =>
    resolveSubscribeOptions(options, defaults, { types: [], isFunction: false });

  it('of the bus are all there, each with the range that is checked', () => {
    const rows = rowsOf(tableOf(readme, 'Bus option'));
    const names = namesIn(ruleOf(checkBus, '')).flatMap((name) => {
      const inner = namesIn(ruleOf(checkBus, name)).map((option) => `${name}.${option}`);
      // A section has a row of its own, one for each of its options, or both.
      const rowsOfInner = inner.filter((path) => rows.has(`\`${path}\``));
      expect(rowsOfInner.length === 0 || rowsOfInner.length === inner.length, name).toBe(true);
      return rowsOfInner.length > 0 && !rows.has(`\`${name}\``) ? rowsOfInner : [name, ...rowsOfInner];
    });
    expect([...rows.keys()].map(withoutTicks)).toEqual(names);
    for (const [name, { Accepts }] of rows) expect(Accepts, name).toBe(ruleOf(checkBus, withoutTicks(name)));
  });

  it('of the bus have the defaults that are used', () => {
    // Defaults that are worked out, or that are Node's; test/unit/options has them.
    const told = [
      'threads',
      'lanes',
      'starvation.events',
      'starvation.ms',
      'spinMicros',
      'logger',
      'resourceLimits',
      'execArgv',
      'env',
    ];
    const plain = [...rowsOf(tableOf(readme, 'Bus option'))].filter(([name]) => !told.includes(withoutTicks(name)));
    expect(plain.length).toBeGreaterThan(told.length);
    for (const [name, { Default }] of plain) {
      const value = withoutTicks(name)
        .split('.')
        .reduce<unknown>((found, key) => (found as Record<string, unknown>)[key], defaults);
      expect(Default, name).toBe(shown(value));
    }
  });

  it('of a lane are all there, each with the range that is checked', () => {
    const rows = rowsOf(tableOf(readme, 'Lane option'));
    const [mine] = resolveOptions({ lanes: { mine: { maxPriority: 0 } } }, catalog).lanes;
    const names = Object.keys(mine).filter((name) => name !== 'name' && name !== 'minPriority');
    expect([...rows.keys()].map(withoutTicks)).toEqual(names);
    for (const [name, { Accepts }] of rows) {
      expect(Accepts, name).toBe(ruleOf(checkBus, `lanes.mine.${withoutTicks(name)}`));
    }
  });

  it('of a lane have the defaults that are used', () => {
    const rows = rowsOf(tableOf(readme, 'Lane option'));
    const [mine] = resolveOptions({ lanes: { mine: { maxPriority: 0 } } }, catalog).lanes;
    for (const name of ['capacityBytes', 'whenFull', 'timeoutMs'] as const) {
      expect(rows.get(`\`${name}\``)?.Default, name).toBe(shown(mine[name]));
    }
    expect(rows.get('`maxRecordBytes`')?.Default).toBe('an eighth of the capacity');
    expect(mine.maxRecordBytes).toBe(mine.capacityBytes / 8);
    expect(rows.get('`spillWatermarkBytes`')?.Default).toBe('16 times the capacity');
    expect(mine.spillWatermarkBytes).toBe(mine.capacityBytes * 16);
    expect(rows.get('`urgent`')?.Default).toBe('true below priority 30');
    for (const { maxPriority, urgent } of defaults.lanes) expect(urgent).toBe(maxPriority < 30);
  });

  it('of a subscription are all there, each with the range that is checked', () => {
    const rows = rowsOf(tableOf(readme, 'Subscribe option'));
    expect([...rows.keys()].map(withoutTicks)).toEqual(namesIn(ruleOf(checkSubscribe, '')));
    for (const [name, { Accepts }] of rows) expect(Accepts, name).toBe(ruleOf(checkSubscribe, withoutTicks(name)));
  });

  it('say which lanes there are by default', () => {
    const size = (bytes: number): string => (bytes < 2 ** 20 ? `${bytes / 1024} KiB` : `${bytes / 2 ** 20} MiB`);
    const priorities = (min: number, max: number): string =>
      min === -Infinity ? `up to ${max}` : max === Infinity ? `from ${min}` : `${min}–${max}`;
    expect(tableOf(readme, 'Lane').rows).toEqual(
      defaults.lanes.map(({ name, minPriority, maxPriority, capacityBytes, urgent }) => [
        `\`${name}\``,
        priorities(minPriority, maxPriority),
        size(capacityBytes),
        urgent ? 'yes' : 'no',
      ]),
    );
  });
});

describe('the other tables in the README', () => {
  it('have every code of an error once', () => {
    const codes = [...rowsOf(tableOf(readme, 'Code')).keys()].map(withoutTicks);
    expect(codes).toEqual(Object.values(ErrorCode));
  });

  it('have every kind of field with the bytes that it takes', () => {
    const rows = tableOf(readme, 'Field').rows.flatMap(([functions, , bytes]) =>
      functions.split(', ').map((name) => ({ kind: /^`(\w+)/.exec(name)?.[1] ?? name, bytes })),
    );
    const kinds = FIELD_KINDS.map((kind) => (kind === 'enum' ? 'enumOf' : kind));
    expect(rows.map(({ kind }) => kind).sort()).toEqual([...kinds, 'optional'].sort());
    for (const { kind: name, bytes } of rows) {
      const kind = FIELD_KINDS.find((known) => known === name.replace('enumOf', 'enum'));
      if (kind === undefined) continue; // optional() has its field's bytes
      const field: Field = kind === 'enum' ? { kind, members: ['a'] } : { kind };
      const eight = Object.fromEntries(Array.from({ length: 8 }, (_, at) => [`f${at}`, field]));
      const [type] = defineEvents({ EIGHT: { priority: 1, payload: eight } } as never).types;
      expect(Number.parseInt(bytes, 10), name).toBe(type.fixedBytes / 8);
      expect(bytes.includes('+'), name).toBe(isVariableLength(kind));
    }
  });

  it('leave out no number of the metrics', () => {
    const bus = createBus(defineEvents({ E: { priority: 30, payload: {} } }), { threads: 1, logger: false });
    bus.subscribe('E', () => undefined);
    const { lanes, subscriptions, threads }: MetricsSnapshot = bus.metrics();
    const section = /## Metrics\n(.*?)\n## /s.exec(readText('README.md'))?.[1] ?? '';
    const [byLane, bySubscription, byThread] = ['Per lane', 'Per subscription', 'Per thread'].map((start, at, all) =>
      section.slice(section.indexOf(start), at + 1 < all.length ? section.indexOf(all[at + 1]) : undefined),
    );
    for (const [text, numbers] of [
      [byLane, lanes.market],
      [bySubscription, subscriptions[0]],
      [bySubscription, subscriptions[0].handler],
      [byThread, threads[0]],
      [byThread, threads[0].restarts],
    ] as const) {
      for (const name of Object.keys(numbers)) expect(text).toContain(`\`${name}\``);
    }
  });
});

describe('the names on the pages', () => {
  it.each(pages)('lead somewhere: links of $path', (page) => {
    for (const { target, line } of page.links) {
      if (/^https?:/.test(target)) continue;
      const [path, ...fragments] = target.split('#');
      const file = path === '' ? page.path : join(dirname(page.path), path);
      expect(existsSync(join(ROOT, file)), `${page.path}:${line}: ${target}`).toBe(true);
      for (const fragment of fragments) {
        expect(pageAt(file).headings.map(slugOf), `${page.path}:${line}: ${target}`).toContain(fragment);
      }
    }
  });

  it.each(pages)('are those of files that exist: $path', (page) => {
    for (const { target, line } of page.names) {
      if (!/^(src|test|examples|bench|native-bench|docs|\.ci)\/[\w./-]*$/.test(target)) continue;
      expect(existsSync(join(ROOT, target)), `${page.path}:${line}: ${target}`).toBe(true);
    }
  });

  it('CONTRIBUTING has every source file once', () => {
    const contributing = pageAt('CONTRIBUTING.md');
    const folders = ['main', 'shared', 'workers', 'cli', 'cli/bench', 'catalogs', 'testing', 'testing/conformance'].map(
      (name) => `src/${name}`,
    );
    const listed = folders.flatMap((folder) =>
      tableOf(contributing, folder).rows.map(([file]) => `${folder}/${withoutTicks(file)}`),
    );
    expect(listed.sort()).toEqual(filesBelow('src', /\.[cm]?ts$/).sort());
  });

  it('CHANGELOG begins with the version of the package', () => {
    const [, newest] = pageAt('CHANGELOG.md').headings;
    expect(newest.startsWith(`${manifest.version} `)).toBe(true);
  });
});
