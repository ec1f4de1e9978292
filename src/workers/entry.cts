/**
 * What Piscina loads. It tries `require` first, and Node 20 aborts the process when a thread is terminated while it
 * requires an ES module; a CommonJS module that imports the rest is safe.
 */
import type work from './worker.js';

const entry = async (task: Parameters<typeof work>[0]): Promise<void> => (await import('./worker.js')).default(task);

export = entry;
