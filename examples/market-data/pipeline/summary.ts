import { killLines } from '../display.js';
import { count, ledgerTable, table } from '../tables.js';
import { TICK_MONEY } from './execution.js';
import type { PipelineResult } from './result.js';
import { sumOf } from './result.js';
import { STAGES } from './stage.js';

const MAX_INSTRUMENT_ROWS = 16;
const US_PER_MS = 1_000;

/** What is left on the screen in the end. */
export function summaryOf(result: PipelineResult, title: string): string {
  const { events, durationMs, eventsPerSecond, orders, pnl, halts, latestHalts, interrupted } = result;
  const deliveries = Object.values(result.ledger).reduce((total, { processed }) => total + processed, 0);
  const seconds = durationMs / 1_000;
  return [
    ` ${title}${interrupted ? ' · interrupted' : ''}`,
    ` ${count(events)} events in ${seconds.toFixed(2)} s: ${count(eventsPerSecond)} events/s, ${count(deliveries)} deliveries`,
    ...killLines(result),
    '',
    stageTable(result),
    '',
    instrumentTable(result),
    '',
    ` ${count(orders.signals)} signals: ${count(orders.sent)} orders sent, ${count(orders.refused)} refused because of a HALT`,
    ` ${count(orders.fills)} fills, ${count(orders.partial)} of them partial: ${count(orders.contracts)} contracts`,
    ` profit and loss ${ticks(pnl.net)} ticks, after fees of ${ticks(pnl.fees)}`,
    '',
    ledgerTable(result),
    '',
    ` HALT ${count(halts)}${halts === 0 ? '' : ', the last ones:'}`,
    ...latestHalts.map(haltLine),
    '',
    ` result digest ${result.resultDigest}`,
    '',
  ].join('\n');
}

function stageTable({ stages, durationMs }: PipelineResult): string {
  return table(
    ['stage', 'received', 'published', 'received/s'],
    STAGES.map((stage) => {
      const { received, published } = stages[stage];
      return [stage, count(received), count(published), count((received * 1_000) / Math.max(1, durationMs))];
    }),
  );
}

function instrumentTable({ state, pnl }: PipelineResult): string {
  const instruments = Object.keys(pnl.byInstrument);
  const hidden = instruments.length - MAX_INSTRUMENT_ROWS;
  const rows = table(
    ['instrument', 'quotes', 'signals', 'orders', 'refused', 'fills', 'halts', 'position', 'fees', 'P&L in ticks'],
    instruments.slice(0, MAX_INSTRUMENT_ROWS).map((instrument) => {
      const { position, fees, net } = pnl.byInstrument[instrument];
      return [
        instrument,
        count(sumOf(state, 'book', 'published', [instrument])),
        ...['signals', 'orders', 'refused', 'fills', 'halts'].map((name) =>
          count(sumOf(state, 'execution', name, [instrument])),
        ),
        count(position),
        ticks(fees),
        ticks(net),
      ];
    }),
  );
  return hidden > 0 ? `${rows}\n … and ${hidden} more` : rows;
}

function haltLine({ instrument, index, timeUs, reason, value, limit, untilUs }: PipelineResult['latestHalts'][number]) {
  const breach =
    reason === 'drawdown'
      ? `${ticks(value / TICK_MONEY)} ticks below the peak, limit ${ticks(limit / TICK_MONEY)}`
      : `${value} fills within a minute, limit ${limit}`;
  return `   ${instrument}: ${breach}; at event ${count(index)}, ${clock(timeUs)}, until ${clock(untilUs)}`;
}

function ticks(value: number): string {
  return value.toFixed(2);
}

/** Exchange time of day, UTC. */
function clock(timeUs: number): string {
  return new Date(timeUs / US_PER_MS).toISOString().slice(11, 19);
}
