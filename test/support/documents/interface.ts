/** What users can import, as the built declarations have it: each name with its signature and its comments. */
import { join } from 'node:path';
import { format, resolveConfig } from 'prettier';
import ts from 'typescript';
import { manifest, ROOT } from './pages.js';

export interface PublicName {
  /** What it is imported from, such as `lanebus/dead-letters-lmdb`. */
  readonly entry: string;
  /** Its name; with the entry before it, unless that is the package itself. No two have the same. */
  readonly key: string;
  /** As they stand in `dist`: more than one for overloads, and for a value and a type of one name. */
  readonly declarations: readonly ts.Declaration[];
}

/** A name that two entries export belongs to the first. */
export function publicNames(): readonly PublicName[] {
  const entries = Object.entries(manifest.exports).flatMap(([path, target]) =>
    typeof target === 'string' ? [] : [{ entry: join(manifest.name, path), file: join(ROOT, target.types) }],
  );
  const program = readDeclarations(entries.map(({ file }) => file));
  const checker = program.getTypeChecker();
  const seen = new Set<ts.Symbol>();
  return entries.flatMap(({ entry, file }) => {
    const source = program.getSourceFile(file);
    const module = source && checker.getSymbolAtLocation(source);
    if (module === undefined) throw new Error(`${file} is not there: build the package first`);
    return checker.getExportsOfModule(module).flatMap((exported): PublicName[] => {
      const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported;
      if (seen.has(symbol)) return [];
      seen.add(symbol);
      const key = entry === manifest.name ? exported.name : `${entry}#${exported.name}`;
      return [{ entry, key, declarations: symbol.declarations ?? [] }];
    });
  });
}

/** Reads this package's own declarations only. Nothing is checked, so what they import from elsewhere may stay unknown. */
function readDeclarations(files: readonly string[]): ts.Program {
  const options: ts.CompilerOptions = {
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    noLib: true,
    types: [],
  };
  const host = ts.createCompilerHost(options);
  host.resolveModuleNameLiterals = (names, from) =>
    names.map(({ text }) =>
      text.startsWith('.')
        ? ts.resolveModuleName(text, from, options, host, undefined, undefined, ts.ModuleKind.ESNext)
        : { resolvedModule: undefined },
    );
  return ts.createProgram(files, options, host);
}

const printer = ts.createPrinter({ removeComments: true });

/** Literals of an inferred union stand as the compiler came across them, which differs from build to build. */
function inOrder<N extends ts.Node>(node: N): N {
  const result = ts.transform(node, [
    (context) => (root) => {
      const visit = (one: ts.Node): ts.Node => {
        if (ts.isUnionTypeNode(one) && one.types.every((type) => ts.isLiteralTypeNode(type))) {
          return ts.factory.createUnionTypeNode([...one.types].sort((a, b) => (a.getText() < b.getText() ? -1 : 1)));
        }
        return ts.visitEachChild(one, visit, context);
      };
      return ts.visitNode(root, visit) as N;
    },
  ]);
  return result.transformed[0];
}

/** The declaration as it is built, without its comments, formatted as code blocks are. */
export async function signatureOf({ declarations }: PublicName): Promise<string> {
  const printed = declarations.map((declaration) => {
    const isInferred = ts.isVariableDeclaration(declaration);
    const statement = isInferred ? inOrder(declaration.parent.parent) : declaration;
    return printer.printNode(ts.EmitHint.Unspecified, statement, declaration.getSourceFile());
  });
  // The compiler qualifies what a file itself does not import; here every name is known.
  const unqualified = printed.join('\n').replace(/import\([^)]*\)\./g, '');
  return format(unqualified, { ...(await resolveConfig(join(ROOT, 'README.md'))), parser: 'typescript' });
}

/** What the comment above says, its tags as text among it; empty without one. */
export function commentOf(node: ts.Node): string {
  return ts
    .getJSDocCommentsAndTags(node)
    .map((part) => part.getText())
    .join('\n')
    .replace(/^\/\*\*|\*\/$|^\s*\* ?/gm, '')
    .replace(/\s+/g, ' ')
    .trim();
}
