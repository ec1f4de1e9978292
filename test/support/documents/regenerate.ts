/** `npm run docs:interface`: writes the declarations as they are built now into the page of the interface. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { INTERFACE_PAGE, regenerate } from './interface-page.js';
import { publicNames } from './interface.js';
import { readText, ROOT } from './pages.js';

writeFileSync(join(ROOT, INTERFACE_PAGE), await regenerate(readText(INTERFACE_PAGE), publicNames()));
