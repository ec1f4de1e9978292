/**
 * The command lines on a page, in its `sh` blocks and in backticks: that a reader can type each. npm scripts, the programs
 * behind them and `npx lanebus` are asked (`--help`) which options they have; of everybody else's programs the name is known.
 */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Link, Page } from './markdown.js';
import { manifest, ROOT } from './pages.js';

const NPM_COMMANDS = ['ci', 'install', 'pack', 'run', 'start', 'test'];
const OTHER_PROGRAMS = [
  'apt-get',
  'cd',
  'git',
  'make',
  'native-bench/build/cpp',
  'native-bench/build/disruptor',
  'node',
];
/** In backticks, what begins like this is a command line. */
const IN_BACKTICKS = /^(npm|npx|node) \S/;

/** What is wrong with the page's command lines, with their lines. */
export async function problemsOf(page: Page): Promise<string[]> {
  const found = commandsOf(page).map(async ({ target, line }) => {
    const problem = await problemOf(target.split(/\s+/));
    return problem === undefined ? [] : [`${page.path}:${line}: ${target}: ${problem}`];
  });
  return (await Promise.all(found)).flat();
}

function commandsOf({ blocks, names }: Page): Link[] {
  const lines = blocks
    .filter(({ language }) => language === 'sh')
    .flatMap(({ text, line }) => text.split('\n').map((target, at): Link => ({ target, line: line + at })));
  return [...lines, ...names.filter(({ target }) => IN_BACKTICKS.test(target))].flatMap(({ target, line }) =>
    target
      .replace(/(^|\s)#.*$/, '')
      .split(/&&|\||;/)
      .map((command) => ({ target: command.trim(), line }))
      .filter((command) => command.target !== ''),
  );
}

async function problemOf([program, ...args]: readonly string[]): Promise<string | undefined> {
  if (program === 'npm') return problemOfNpm(args);
  if (program === 'npx') return problemOfNpx(args);
  return OTHER_PROGRAMS.includes(program)
    ? undefined
    : `${program} is not among ${OTHER_PROGRAMS.join(', ')}, npm, npx`;
}

async function problemOfNpm(args: readonly string[]): Promise<string | undefined> {
  const end = args.indexOf('--');
  const own = (end < 0 ? args : args.slice(0, end)).filter((word) => !word.startsWith('-'));
  const passed = end < 0 ? [] : args.slice(end + 1);
  if (!NPM_COMMANDS.includes(own[0])) return `npm ${own[0]} is not among ${NPM_COMMANDS.join(', ')}`;
  if (!['run', 'start', 'test'].includes(own[0])) return undefined;
  const name = own[0] === 'run' ? own[1] : own[0];
  if (!Object.hasOwn(manifest.scripts, name)) return `package.json has no script ${name}`;
  const options = optionsIn(passed);
  if (options.length === 0) return undefined;
  const built = /node (build\/\S+)$/.exec(manifest.scripts[name])?.[1];
  if (built === undefined) return `script ${name} runs no program of its own, which could have options`;
  return missingFrom((await help(built)).options, options, `script ${name}`);
}

async function problemOfNpx([program, ...args]: readonly string[]): Promise<string | undefined> {
  if (program !== manifest.name) {
    return existsSync(join(ROOT, 'node_modules', '.bin', program)) ? undefined : `${program} is no devDependency`;
  }
  let told = await help(manifest.bin.lanebus);
  let rest = args;
  while (told.commands.includes(rest[0])) {
    told = await help(manifest.bin.lanebus, args.slice(0, args.length - rest.length + 1));
    rest = rest.slice(1);
  }
  const missing = missingFrom(told.options, optionsIn(rest), args.slice(0, args.length - rest.length).join(' '));
  if (missing !== undefined) return missing;
  const stray = rest.find((word, at) => !word.startsWith('-') && !told.takingValue.has(rest[at - 1]));
  return stray === undefined || told.takesArguments ? undefined : `there is no command or argument ${stray}`;
}

/** What a program, or one of its commands, says of itself. */
interface Help {
  readonly commands: readonly string[];
  readonly takesArguments: boolean;
  readonly options: ReadonlySet<string>;
  /** Those whose next word is their value. */
  readonly takingValue: ReadonlySet<string>;
}

const asked = new Map<string, Promise<Help>>();

/** @param program As built. */
function help(program: string, commands: readonly string[] = []): Promise<Help> {
  const call = [program, ...commands].join(' ');
  const known = asked.get(call) ?? readHelp(program, commands);
  asked.set(call, known);
  return known;
}

async function readHelp(program: string, commands: readonly string[]): Promise<Help> {
  const { stdout } = await promisify(execFile)(process.execPath, [join(ROOT, program), ...commands, '--help']);
  const section = (title: string): string => stdout.split('\n\n').find((text) => text.startsWith(`${title}:\n`)) ?? '';
  const options = [...section('Options').matchAll(/^ {2}(?:-\w, )?(--[\w-]+)( [<[])?/gm)];
  return {
    commands: [...section('Commands').matchAll(/^ {2}([\w-]+)/gm)].map(([, name]) => name),
    takesArguments: section('Arguments') !== '',
    options: new Set(options.map(([, name]) => name)),
    // A group that did not match is undefined, whatever the type says.
    takingValue: new Set(options.filter((match) => match.at(2) !== undefined).map(([, name]) => name)),
  };
}

function optionsIn(args: readonly string[]): string[] {
  return args.filter((word) => word.startsWith('--')).map((word) => word.split('=')[0]);
}

function missingFrom(known: ReadonlySet<string>, options: readonly string[], whose: string): string | undefined {
  const missing = options.filter((option) => !known.has(option));
  return missing.length === 0 ? undefined : `${whose} has no option ${missing.join(', ')}`;
}
