#!/usr/bin/env node
/** The command line: `npx lanebus`. What goes wrong is one line on standard error, with exit code 1; a wrong call has 2. */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { benchCommand } from './bench.js';
import { deadLettersCommand } from './dead-letters.js';
import { UsageError } from './usage-error.js';

const { version, description } = JSON.parse(
  readFileSync(new URL('../../package.json', import.meta.url), 'utf8'),
) as Record<'version' | 'description', string>;

const program = new Command('lanebus')
  .description(description)
  .version(version)
  .addCommand(benchCommand())
  .addCommand(deadLettersCommand())
  .showHelpAfterError('(--help tells how it is called)');

function forAll(command: Command, act: (command: Command) => void): void {
  act(command);
  for (const inner of command.commands) forAll(inner, act);
}
forAll(program, (command) => command.exitOverride());

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else {
    process.stderr.write(`lanebus: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
