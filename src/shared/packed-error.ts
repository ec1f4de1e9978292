/**
 * An error in bytes, as it goes from the thread where a handler has thrown it to the store of dead letters: to unpack it and
 * pack it again on the way would cost main more than all else that it does about a failure.
 */
import { packValue, unpackCopy } from './codec-values.js';
import type { ErrorRecord } from './errors.js';

/** Longest texts that are kept, in characters, and all of it, in bytes. */
const MAX_NAME = 256;
const MAX_MESSAGE = 4_096;
const MAX_STACK = 16_384;
export const MAX_ERROR_BYTES = 32_768;

/** In so many bytes as it may have. */
export function packError({ name, code, message, stack }: ErrorRecord): Uint8Array {
  const texts = [
    cut(name, MAX_NAME),
    code && cut(code, MAX_NAME),
    cut(message, MAX_MESSAGE),
    stack && cut(stack, MAX_STACK),
  ];
  const packed = packValue(texts);
  return packed.length <= MAX_ERROR_BYTES ? packed : packValue(texts.slice(0, 3));
}

/** @param bytes Are left as they are. */
export function unpackError(bytes: Uint8Array): ErrorRecord {
  const [name, code, message, stack] = unpackCopy(bytes) as [string, string?, string?, string?];
  return { name, code, message: message ?? '', stack };
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
