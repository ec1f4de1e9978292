/** `node build/bench/feed-rows.js FILE`: the rows of the feed scenario for native programs, which take the file with `--rows`. */
import { readDay, writeRows } from './feed.js';

const [file] = process.argv.slice(2) as (string | undefined)[];
const rows = await readDay();
if (file === undefined || 'absent' in rows) {
  process.stderr.write(`${'absent' in rows ? rows.absent : 'expected the name of a file to write'}\n`);
  process.exitCode = 1;
} else {
  await writeRows(rows, file);
}
