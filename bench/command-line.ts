import { InvalidArgumentError } from 'commander';

export function parseCount(given: string): number {
  const count = Number(given);
  if (!Number.isSafeInteger(count) || count < 1) throw new InvalidArgumentError('It is an integer of 1 or more.');
  return count;
}

/** One line on a terminal, in place of the one before; '' takes it away. */
export function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
}
