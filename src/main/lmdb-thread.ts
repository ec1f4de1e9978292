/** Runs in the thread that writes the dead letters of a bus: one write after the other. */
import { workerData } from 'piscina';
import { toErrorRecord } from '../shared/errors.js';
import { LmdbLetters, type Write } from './lmdb-letters.js';

const { path } = workerData as { readonly path: string };
const letters = new LmdbLetters(path, true);

/** Errors are told as records: their codes would be lost on the way. */
export default function write(
  task: Write,
): { readonly value: unknown } | { readonly error: ReturnType<typeof toErrorRecord> } {
  try {
    return { value: letters.apply(task) };
  } catch (error) {
    return { error: toErrorRecord(error) };
  }
}
