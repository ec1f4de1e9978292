/** `npm run bench:report`: docs/benchmarks.md and its charts, from the results of one run. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { format, resolveConfig } from 'prettier';
import { chartOf } from './charts.js';
import { CHARTS, pageOf } from './page.js';
import type { BenchReport } from './report.js';

const RUN = fileURLToPath(new URL('run.js', import.meta.url));

const command = new Command('npm run bench:report --')
  .description('writes docs/benchmarks.md and docs/benchmarks/*.svg; without --from it runs all scenarios first')
  .option('--from <file>', 'what `npm run bench -- --scenario all --json` printed, or that of one scenario')
  .option('--to <folder>', 'folder of the page', 'docs')
  .parse();
const { from, to } = command.opts<{ readonly from?: string; readonly to: string }>();

/** Its progress is on our stderr. A system that broke its bound ends it with 1, but has a result to show. */
async function runBench(): Promise<string> {
  const bench = spawn(process.execPath, [RUN, '--scenario', 'all', '--json'], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [json] = await Promise.all([text(bench.stdout), once(bench, 'close')]);
  if (json === '') throw new Error('the bench has no result');
  return json;
}

/** npm prints two lines before what the bench does. */
function parseReports(json: string): readonly BenchReport[] {
  const found = JSON.parse(json.replace(/^(?:\s*\n|> .*\n)+/, '')) as BenchReport | readonly BenchReport[];
  const reports = 'scenario' in found ? [found] : found;
  if (reports.length === 0) throw new Error('there is no scenario in it');
  return reports;
}

async function write(): Promise<void> {
  const reports = parseReports(from === undefined ? await runBench() : readFileSync(from, 'utf8'));
  const path = join(to, 'benchmarks.md');
  const page = await format(pageOf(reports), { ...(await resolveConfig(path)), parser: 'markdown' });
  const charts = reports
    .filter(({ systems }) => Object.keys(systems).length > 0)
    .map((report) => ({ file: `${report.scenario}.svg`, svg: chartOf(report) }));
  const folder = join(to, CHARTS);
  mkdirSync(folder, { recursive: true });
  // A scenario that is no more leaves no chart.
  for (const file of readdirSync(folder)) if (file.endsWith('.svg')) rmSync(join(folder, file));
  for (const { file, svg } of charts) writeFileSync(join(folder, file), svg);
  writeFileSync(path, page);
  process.stdout.write(`${path}: ${reports.length} scenarios, ${charts.length} charts\n`);
}

await write().catch((error: unknown) => command.error(`error: ${from ?? 'the bench'}: ${String(error)}`));
