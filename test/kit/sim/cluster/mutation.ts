/** What a deliberate bug is, and how one is put beside the shipped plugins. */
import { definePlugin, type AnyPlugin } from '../../../../core/engine/index.ts';
import type { FaultOptions } from './faults.ts';

export interface Mutation {
  readonly name: string;
  /** What must notice it, one of these. */
  readonly breaks: readonly string[];
  readonly mutate?: (plugins: readonly AnyPlugin[], node: string) => readonly AnyPlugin[];
  readonly settings?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Puts the mistake into a part of the mesh that no plugin could replace; gives what takes it out again. */
  readonly install?: () => () => void;
  /** What brings it to light. */
  readonly faults: Partial<FaultOptions>;
  readonly nodes?: number;
}

export const often = { crashEverySecs: 60, crashSecs: 20 } as const;

/** A plugin of its own beside the others. */
export const beside =
  (apply: AnyPlugin['apply'], contracts: Pick<AnyPlugin, 'needs'> = {}) =>
  (plugins: readonly AnyPlugin[]): readonly AnyPlugin[] => [
    ...plugins,
    definePlugin({ name: 'mistake', summary: 'A mistake.', ...contracts, apply }),
  ];

/** Methods of a class replaced, until what it gives is called. */
export function patched<T extends object>(prototype: T, methods: Partial<T>): () => void {
  const before = Object.getOwnPropertyDescriptors(prototype);
  Object.assign(prototype, methods);
  return () => void Object.defineProperties(prototype, before);
}
