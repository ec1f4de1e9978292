/** The LMAX Disruptor on a Java virtual machine. */
import { nativeScenarios } from '../native.js';

export const scenarios = nativeScenarios({
  target: 'disruptor',
  needs: ['make', 'javac', 'java', '/usr/share/java/disruptor.jar', '/usr/share/java/hdrhistogram.jar'],
  packages: 'make default-jdk-headless libdisruptor-java libhdrhistogram-java',
});
