/** The API reference, `npm run docs:api`: of every entry point that the package exports, without a name that is not explained. */
import { readFileSync } from 'node:fs';
import { Converter, ReflectionKind } from 'typedoc';

const { exports } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));

/**
 * A ready-made catalog is data of types that are explained already: what its events' fields do not say themselves, the comment
 * of their field function does, and of `priority`, `key` and `payload` that of EventDefinition.
 */
function explainCatalogs({ converter }) {
  converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    const named = (kind, name) => project.getReflectionsByKind(kind).find((reflection) => reflection.name === name);
    const definition = named(ReflectionKind.Interface, 'EventDefinition');
    for (const property of project.getReflectionsByKind(ReflectionKind.Property)) {
      if (property.hasComment() || !isInCatalog(property)) continue;
      const kind = property.type?.typeArguments?.[1]?.value;
      const explained =
        kind === undefined
          ? definition?.children?.find(({ name }) => name === property.name)
          : named(ReflectionKind.Function, kind === 'enum' ? 'enumOf' : kind)?.signatures?.[0];
      property.comment = explained?.comment?.clone();
    }
  });
}

function isInCatalog({ parent }) {
  if (parent === undefined) return false;
  return parent.kindOf(ReflectionKind.Variable) ? parent.type?.name === 'Catalog' : isInCatalog(parent);
}

/** @type {Partial<import('typedoc').TypeDocOptions>} */
export default {
  name: 'Lanebus',
  // From `dist/main/index.d.ts` to the source that it is built from.
  entryPoints: Object.values(exports)
    .filter(({ types }) => types !== undefined)
    .map(({ types }) => types.replace(/^\.\/dist\/(.*)\.d\.ts$/, 'src/$1.ts')),
  tsconfig: 'src/tsconfig.json',
  out: 'build/api',
  readme: 'none',
  disableSources: true,
  githubPages: false,
  plugin: [explainCatalogs],
  // Not for users: what they come to is shown where they are used.
  intentionallyNotExported: [
    'Checked',
    'DefinitionsOf',
    'EventObject',
    'FilterableValue',
    'ListedSource',
    'MergedDefinitions',
    'OwnEvents',
    'PayloadOf',
  ],
  validation: { notExported: true, invalidLink: true, invalidPath: true, notDocumented: true },
  treatWarningsAsErrors: true,
};
