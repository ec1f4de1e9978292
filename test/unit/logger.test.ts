import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ErrorCode } from '../../src/shared/errors.js';
import { createLogger, type LoggerOptions } from '../../src/shared/logger.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lanebus-logger-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

const fileOptions = (level: LoggerOptions['level'] = 'info'): LoggerOptions => ({
  level,
  destination: join(folder, 'bus.log'),
});

function linesOf(path = join(folder, 'bus.log')): Record<string, unknown>[] {
  const text = readFileSync(path, 'utf8').trim();
  return text === '' ? [] : text.split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('createLogger', () => {
  it('has written a line with its bindings to the file when the call returns', () => {
    createLogger(fileOptions(), { thread: 3 }).info({ lane: 'market' }, 'lane is full');
    expect(linesOf()).toStrictEqual([
      { level: 30, time: expect.any(Number) as number, thread: 3, lane: 'market', msg: 'lane is full' },
    ]);
  });

  it('appends to the file', () => {
    createLogger(fileOptions(), {}).info('first');
    createLogger(fileOptions(), {}).info('second');
    expect(linesOf().map(({ msg }) => msg)).toStrictEqual(['first', 'second']);
  });

  it('writes nothing below its level', () => {
    const logger = createLogger(fileOptions('error'), {});
    logger.warn('quiet');
    logger.error('loud');
    expect(linesOf().map(({ msg }) => msg)).toStrictEqual(['loud']);
  });

  it.each([false, { level: 'silent', destination: 1 }] as const)('writes nothing with %j', (options) => {
    const logger = createLogger(options, { thread: 1 });
    expect(logger.level).toBe('silent');
    expect(logger.isLevelEnabled('fatal')).toBe(false);
  });

  it('writes the bigints of an event with all their digits, as texts', () => {
    createLogger(fileOptions(), {}).info({ event: { type: 'ORDER', id: 9_007_199_254_740_993n, qty: 2 } });
    expect(linesOf()[0].event).toStrictEqual({ type: 'ORDER', id: '9007199254740993', qty: 2 });
  });

  it('writes bigints outside events with all their digits', () => {
    createLogger(fileOptions(), {}).info({ count: 9_007_199_254_740_993n });
    expect(readFileSync(join(folder, 'bus.log'), 'utf8')).toContain('"count":9007199254740993,'.slice(0, -1));
  });

  it('cuts long texts and bytes of an event', () => {
    const event = { note: 'n'.repeat(1_000_000), head: Buffer.alloc(3, 0xab), body: new Uint8Array(1_000_000) };
    createLogger(fileOptions(), {}).info({ event });
    expect(linesOf()[0].event).toStrictEqual({
      note: `${'n'.repeat(200)}… (1000000 characters)`,
      head: 'ababab',
      body: `${'00'.repeat(32)}… (1000000 bytes)`,
    });
  });

  it('keeps the stack, the cause and the code of an error', () => {
    const err = Object.assign(new Error('handler broke', { cause: new RangeError('no price') }), { code: 'E_PRICE' });
    createLogger(fileOptions(), {}).error({ err }, 'failed');
    const logged = linesOf()[0].err as Record<string, string>;
    expect(logged).toMatchObject({ type: 'Error', code: 'E_PRICE' });
    expect(logged.message).toContain('handler broke');
    expect(logged.stack).toContain('logger.test.ts');
    expect(logged.stack).toContain('RangeError: no price');
  });

  it('names a file that cannot be opened', () => {
    const destination = join(folder, 'missing', 'bus.log');
    const open = () => createLogger({ level: 'info', destination }, {});
    expect(open).toThrow(
      expect.objectContaining({
        code: ErrorCode.OPTIONS,
        message: expect.stringContaining(`logger.destination: got '${destination}'; expected a file`) as string,
      }),
    );
  });

  it('loses no line when its process is killed', () => {
    const module = fileURLToPath(new URL('../../dist/shared/logger.js', import.meta.url));
    const program = `
      import { createLogger } from ${JSON.stringify(module)};
      const logger = createLogger({ level: 'info', destination: 1 }, {});
      for (let at = 0; at < 100; at++) logger.info({ at });
      process.kill(process.pid, 'SIGKILL');
    `;
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
    expect(run.signal).toBe('SIGKILL');
    expect(run.stdout.trim().split('\n')).toHaveLength(100);
  });

  it.runIf(process.platform === 'linux')('survives a destination that takes no more, with one warning', () => {
    const module = fileURLToPath(new URL('../../dist/shared/logger.js', import.meta.url));
    const program = `
      import { createLogger } from ${JSON.stringify(module)};
      const logger = createLogger({ level: 'info', destination: '/dev/full' }, {});
      for (let at = 0; at < 100; at++) logger.info({ at });
      console.log('alive');
    `;
    const run = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
    expect(run.stdout).toBe('alive\n');
    expect(run.stderr.match(/LanebusWarning: log lines cannot be written to \/dev\/full/g)).toHaveLength(1);
  });
});
