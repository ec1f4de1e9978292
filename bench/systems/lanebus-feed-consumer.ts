import type { MarketContext, MarketEvent } from '../../examples/market-data/catalog.js';
import { consumerOf } from '../feed.js';
import { parametersOf } from './module-parameters.js';

const consumer = consumerOf(parametersOf(import.meta.url));

export function onEvent(event: MarketEvent, context: MarketContext): void {
  if (event.type === 'MBO') consumer.take(event);
  else void context.publish({ type: 'REPORT', source: 'bench', instrument: 'all', summary: consumer.close() });
}
