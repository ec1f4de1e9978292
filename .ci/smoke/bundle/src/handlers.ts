export * from '../../handlers.mjs';
