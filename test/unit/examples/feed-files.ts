import { packValue, unpackCopy } from '../../../src/shared/codec-values.js';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MboEvent } from '../../../examples/market-data/catalog.js';
import { simulate } from '../../../examples/market-data/simulator.js';

export const HEADER = 'ts_event_ns,ts_recv_ns,order_id,action,side,price,size,flags,sequence';

/** A folder for a test's feed files. */
export class FeedFiles {
  readonly folder = mkdtempSync(join(tmpdir(), 'lanebus-feed-'));

  write(name: string, content: string | Uint8Array): string {
    const path = join(this.folder, name);
    writeFileSync(path, content);
    return path;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** The first events of a simulated exchange. */
export function someEvents(count: number, seed = 1, instruments = 1): MboEvent[] {
  const events: MboEvent[] = [];
  for (const burst of simulate({ seed, instruments })) {
    events.push(...burst);
    if (events.length >= count) break;
  }
  return events.slice(0, count);
}

export function rowOf(event: MboEvent): string {
  const { tsEventNs, tsRecvNs, orderId, action, side, price, size, flags, sequence } = event;
  return [tsEventNs, tsRecvNs, orderId, action, side, price, size, flags, sequence].join(',');
}

export function csvOf(events: readonly MboEvent[]): string {
  return [HEADER, ...events.map(rowOf), ''].join('\n');
}

/** A state as a checkpoint gives it back. */
export function kept<S>(state: S): S {
  return unpackCopy(new Uint8Array(packValue(state))) as S;
}
