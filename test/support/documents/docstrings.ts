/** The comments of the public interface: what each function, member and option says of itself. */
import ts from 'typescript';
import { commentOf, type PublicName } from './interface.js';

export interface Docstring {
  /** Such as `createBus`, `EventBus.publish`. */
  readonly of: string;
  readonly text: string;
  readonly node: ts.Declaration;
}

/** Of the names themselves and of all members of interfaces, classes and constants. */
export function docstringsOf(names: readonly PublicName[]): Docstring[] {
  return names.flatMap(({ key, declarations }) => {
    // Overloads, and a value and a type of one name: one comment says it for all.
    const own = { of: key, text: declarations.map(textOf).join(' ').trim(), node: declarations[0] };
    const members = declarations.flatMap(membersOf).map((node): Docstring => {
      return { of: `${key}.${node.name?.getText() ?? 'constructor'}`, text: textOf(node), node };
    });
    return [own, ...members];
  });
}

function textOf(node: ts.Declaration): string {
  return commentOf(ts.isVariableDeclaration(node) ? node.parent.parent : node);
}

function membersOf(node: ts.Declaration): readonly (ts.TypeElement | ts.ClassElement)[] {
  if (ts.isInterfaceDeclaration(node) || ts.isClassDeclaration(node)) return [...node.members];
  if (ts.isVariableDeclaration(node) && node.type !== undefined && ts.isTypeLiteralNode(node.type)) {
    return [...node.type.members];
  }
  return [];
}

/** Whether it is called: a function, a method or a constructor. */
export function isCallable(node: ts.Node): node is ts.SignatureDeclaration {
  return ts.isFunctionDeclaration(node) || ts.isMethodSignature(node) || ts.isConstructorDeclaration(node);
}

/** Whether a promise comes of it. */
export function isAwaited(node: ts.Node): boolean {
  const type = isCallable(node) ? (node.type?.getText() ?? '') : typeOf(node);
  return /^Promise</.test(type);
}

/** What a property's type says, such as `number | undefined`; empty for what is no property. */
export function typeOf(node: ts.Node): string {
  return ts.isPropertySignature(node) ? (node.type?.getText() ?? '') : '';
}

/** The codes that a comment names. */
export function codesIn(text: string): string[] {
  return [...text.matchAll(/\bERR_LANEBUS_\w+/g)].map(([code]) => code);
}
