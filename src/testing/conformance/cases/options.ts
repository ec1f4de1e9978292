import assert from 'node:assert/strict';
import { ErrorCode } from '../../../main/index.js';
import { section } from '../case.js';
import { refusal } from '../scene.js';

export const options = section('12. Options', ({ once }) => {
  once(
    'The options of a bus are checked whole when it is made: one error has every problem, each with its path, the value given and what is accepted.',
    async (scene) => {
      const bad = { threads: 0, timeoutMs: -1, lanes: { market: { whenFull: 'wait' } }, retry: { attempts: 'many' } };
      const { message } = await refusal(() => scene.bus(bad as never), ErrorCode.OPTIONS);
      for (const line of [
        /^threads: got 0; expected an integer .* from 1 to /m,
        /^timeoutMs: got -1; expected a number of ms from 0 to /m,
        /^lanes\.market\.whenFull: got 'wait'; expected 'block' or 'reject' or 'dropNewest' or 'spill'/m,
        /^retry\.attempts: got 'many'; expected an integer /m,
      ]) {
        assert.match(message, line);
      }
    },
  );

  once('An option that there is not is refused, and the nearest one named.', async (scene) => {
    const { message } = await refusal(() => scene.bus({ timeoutMS: 5 } as never), ErrorCode.OPTIONS);
    assert.match(message, /^timeoutMS: got 5; expected .*"timeoutMs"/m);
  });

  once('The options of a subscription, and of `drain` and `stop`, are checked likewise.', async (scene) => {
    const bus = scene.bus();
    const subscribe = (given: object) => () => bus.subscribe('TICK', () => undefined, given);
    assert.match(
      (await refusal(subscribe({ timeoutMs: -1, name: '' }), ErrorCode.OPTIONS)).message,
      /^timeoutMs: got -1;[^]*^name: got ''|^name: got '';[^]*^timeoutMs: got -1/m,
    );
    await refusal(subscribe({ filter: { colour: 'red' } }), ErrorCode.OPTIONS);
    await refusal(subscribe({ key: 'colour' }), ErrorCode.OPTIONS);
    await bus.start();
    await refusal(() => bus.drain({ timeoutMs: -1 }), ErrorCode.OPTIONS);
    await refusal(() => bus.stop({ timeoutMs: Number.NaN }), ErrorCode.OPTIONS);
    assert.equal(bus.metrics().state, 'running');
  });

  once('Options that contradict each other are refused.', async (scene) => {
    const bus = scene.bus();
    for (const given of [
      { once: true, concurrency: 2 },
      { lag: 'conflate', concurrency: 2 },
      { lag: 'conflate', retry: { attempts: 2 } },
      { order: 'none', concurrency: 2, retry: { attempts: 2, keepOrder: true } },
      { maxKeys: 5 },
    ]) {
      await refusal(() => bus.subscribe('TICK', () => undefined, given as never), ErrorCode.OPTIONS);
    }
    await refusal(() => scene.bus({ lanes: { market: { whenFull: 'reject', timeoutMs: 5 } } }), ErrorCode.OPTIONS);
  });
});
