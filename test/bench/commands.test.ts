/** The bench as it is called: what it prints, and how it ends. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Comparison } from '../../bench/comparison.js';
import { ROOT } from '../support/documents/pages.js';

/** The base is built from nothing, on a machine that may be busy with others. */
const LIMIT_MS = 240_000;

function start(script: 'run' | 'compare', args: readonly string[], folder = tmpdir()) {
  return spawnSync(process.execPath, [join(ROOT, 'build', 'bench', `${script}.js`), ...args], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: LIMIT_MS,
    env: { ...process.env, TMPDIR: folder },
  });
}

describe('npm run bench', () => {
  it('fails loudly, with nothing on stdout, when an event is lost', () => {
    const given = ['--scenario', 'one-to-one', '--quick', '--rounds', '1', '--peers', 'post-message'];
    const { status, stdout, stderr } = start('run', [...given, '--json', '--drop', '7']);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/^error: lanebus failed in scenario one-to-one \(exit code 1\)\nError: .+ count is .+\n$/);
  });

  it.each([
    ['--scenario', 'none'],
    ['--peers', 'none'],
    ['--rounds', '0'],
    ['--drop', 'x'],
  ])('refuses %s %s in one line', (...given) => {
    const { status, stdout, stderr } = start('run', given);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toMatch(/^error: .+\n$/);
  });
});

describe('npm run bench:compare', () => {
  it('compares HEAD with itself, and removes what it made', () => {
    const folder = mkdtempSync(join(tmpdir(), 'lanebus-commands-'));
    try {
      const given = ['--base', 'HEAD', '--quick', '--rounds', '1', '--events', '2000', '--json'];
      const { status, stdout, stderr } = start('compare', given, folder);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      const { systems } = JSON.parse(stdout) as Comparison;
      expect(Object.keys(systems)).toEqual(['lanebus', 'lanebus-awaited']);
      expect(systems.lanebus.ratio.median).toBeGreaterThan(0);
      expect(systems.lanebus.verdict).toContain('too few rounds');
      expect(readdirSync(folder)).toEqual([]);
      const worktrees = spawnSync('git', ['worktree', 'list'], { cwd: ROOT, encoding: 'utf8' }).stdout;
      expect(worktrees).not.toContain(folder);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }, LIMIT_MS);

  it('says in one line that there is no such commit', () => {
    const { status, stdout, stderr } = start('compare', ['--base', 'no-such-ref']);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toBe('error: --base no-such-ref is no commit of this repository\n');
  });
});
