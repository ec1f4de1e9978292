const { join } = require('node:path');
const { pathToFileURL } = require('node:url');

// Such as that of a require() of an ES module, where that is an experiment.
process.once('warning', (warning) => {
  throw warning;
});
const lanebus = require('lanebus');

const handlers = pathToFileURL(join(__dirname, 'handlers.cjs'));
void import('./scenario.mjs').then(({ smoke }) => smoke(lanebus, handlers, 'require'));
