/** How a handler module in the pool is told what to do: in the query of its URL. Each query has an instance of the module. */
import type { Parameters } from '../scenario.js';

export function withParameters(module: URL, parameters: Parameters): URL {
  const url = new URL(module);
  for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, String(value));
  return url;
}

/** @param url The module's `import.meta.url`. */
export function parametersOf(url: string): Parameters {
  return Object.fromEntries([...new URL(url).searchParams].map(([name, value]) => [name, Number(value)]));
}
