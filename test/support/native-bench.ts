/** The programs of native-bench/, as they are built now. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ROOT } from './documents/pages.js';

/** Some seconds each on a machine that does nothing else. */
export const BUILD_LIMIT_MS = 300_000;
const PACKAGES = 'g++ make default-jdk-headless libdisruptor-java libhdrhistogram-java';

/** Where they have been built it takes no time. */
export async function buildNative(): Promise<void> {
  try {
    await promisify(execFile)('make', ['--silent', '--jobs=2', '-C', 'native-bench'], { cwd: ROOT });
  } catch (error) {
    throw new Error(`native-bench does not build; it needs: apt-get install ${PACKAGES}`, { cause: error });
  }
}
