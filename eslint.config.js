import tseslint from 'typescript-eslint';

// main → shared ← workers: what may be imported from where. A wrong direction fails the build.
const forbid = (files, group, message) => ({
  files,
  rules: { 'no-restricted-imports': ['error', { patterns: [{ regex: group, message }] }] },
});

export default tseslint.config(
  {
    ignores: [
      'dist',
      'build',
      'coverage',
      'node_modules',
      'eslint.config.js',
      'vitest.config.ts',
      'typedoc.config.js',
      '.ci/smoke',
    ],
  },
  ...tseslint.configs.strictTypeChecked,
  {
    languageOptions: { parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname } },
    linterOptions: { reportUnusedDisableDirectives: 'error' },
    rules: {
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true, allowBoolean: true }],
      '@typescript-eslint/no-unnecessary-condition': ['error', { allowConstantLoopConditions: true }],
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/only-throw-error': 'error',
      'no-console': 'error',
      eqeqeq: 'error',
    },
  },
  forbid(['src/shared/**'], '/(main|workers)/', 'shared must not know main or workers (main → shared ← workers)'),
  forbid(['src/main/**'], '/workers/', 'main must not import workers (main → shared ← workers)'),
  forbid(['src/workers/**'], '/main/', 'workers must not import main (main → shared ← workers)'),
  forbid(
    ['src/testing/conformance/**'],
    '/(shared|workers|cli)/|/main/(?!index\\.js$)',
    'the conformance suite knows the public interface only: import from main/index.js',
  ),
  forbid(
    ['src/cli/bench/**'],
    '/(shared|workers|testing)/|/main/(?!index\\.js$)',
    'the benchmark measures the public interface only: import from main/index.js',
  ),
  forbid(
    ['examples/**', 'bench/**'],
    '/src/|/dist/',
    'examples and benches use the public package only: import from "lanebus"',
  ),
);
