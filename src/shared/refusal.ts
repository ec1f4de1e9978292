import { types } from 'node:util';
import { distance } from 'fastest-levenshtein';

/** Characters of a refused value that an error shows. */
const SHOWN_LENGTH = 60;
/** A name further than this from every known one is no slip of the keyboard. */
const MAX_DISTANCE = 3;

/** A refused value in one short line: never throws, and runs no code of the value's own. */
export function describeValue(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(shorten(value));
    case 'bigint':
      return `${shorten(value.toString())}n`;
    case 'symbol':
      return shorten(value.toString());
    case 'function':
      return 'a function';
    case 'number':
      return Object.is(value, -0) ? '-0' : value.toString();
    case 'object':
      return value === null ? 'null' : describeObject(value);
    default:
      return String(value);
  }
}

// A getter, a proxy's trap or a toString of the object must not run: it could throw, or change what is being checked.
function describeObject(value: object): string {
  if (types.isProxy(value)) return 'a Proxy';
  if (Array.isArray(value)) return 'an array';
  const prototype: unknown = Object.getPrototypeOf(value);
  if (typeof prototype !== 'object' || prototype === null || types.isProxy(prototype)) return 'an object';
  const constructor: unknown = Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value;
  if (typeof constructor !== 'function' || types.isProxy(constructor)) return 'an object';
  const name: unknown = Object.getOwnPropertyDescriptor(constructor, 'name')?.value;
  return typeof name === 'string' && name !== '' ? `an object (${shorten(name)})` : 'an object';
}

function shorten(shown: string): string {
  return shown.length <= SHOWN_LENGTH ? shown : `${shown.slice(0, SHOWN_LENGTH)}…`;
}

/** `; did you mean "price"?` for a name close to a known one, otherwise nothing. */
export function didYouMean(name: unknown, known: Iterable<string>): string {
  if (typeof name !== 'string' || name.length > SHOWN_LENGTH) return '';
  let nearest: string | undefined;
  let nearestDistance = Math.min(MAX_DISTANCE, Math.max(1, name.length - 1)) + 1;
  for (const candidate of known) {
    // Case is the most frequent slip, and costs as many edits as there are letters.
    const edits = Math.min(distance(name, candidate), distance(name.toLowerCase(), candidate.toLowerCase()) + 1);
    if (edits < nearestDistance) {
      nearest = candidate;
      nearestDistance = edits;
    }
  }
  return nearest === undefined ? '' : `; did you mean ${JSON.stringify(nearest)}?`;
}

/** `"A", "B", … (12 in all)`: as many of the names as fit a line. */
export function listNames(names: readonly string[]): string {
  const most = 8;
  const shown = names.slice(0, most).map((name) => JSON.stringify(name));
  return names.length <= most ? shown.join(', ') : `${shown.join(', ')}, … (${names.length} in all)`;
}
