export * from './typed.ts';
