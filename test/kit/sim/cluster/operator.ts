/**
 * The operator of a simulated cluster: sets machines up as `chimera init` and `chimera join` would, has the passphrase of the
 * sealed key, and does what the errors' remedies say.
 */
import type { ClusterSecret, NodeIdentity } from '../../../../core/engine/index.ts';
import { isChimeraError } from '../../../../core/errors.ts';
import { ascii } from '../../../../core/onion/bytes.ts';
import type { Random } from '../../../../core/runtime/random.ts';
import { createClusterSecret, createNodeKey } from '../../../../plugins/identity/index.ts';
import { sealMasterKey } from '../../../../plugins/signer/vault/index.ts';
import { sealedKeyIn } from './node.ts';
import type { SimulatedNode, World } from './world.ts';

/** The least that a sealed key may ask for. */
const cheapest = 14;
/** Machines of which the operator may start any first. */
const mostKeepers = 2;
const lookMs = 5_000;
/** The cluster has the key from somebody again within this, or the operator sees to it. */
const lockedMs = 20_000;

export class Operator {
  readonly passphrase = 'correct horse battery staple, as they say';
  readonly #world: World;
  readonly #random: Random;
  readonly #copies = new Map<string, Uint8Array>();
  #sealed = '';
  #lockedSinceMs: number | undefined;

  constructor(world: World, random: Random) {
    this.#world = world;
    this.#random = random;
  }

  /** Seals the master key, as `chimera init` does, and makes the cluster's first secret. */
  async found(): Promise<ClusterSecret> {
    const { master, store } = this.#world;
    this.#sealed = await sealMasterKey(master, ascii(this.passphrase), this.#random, cheapest);
    await store.makeDirectory('/operator');
    await store.write('/operator/master.sealed', this.#sealed);
    return createClusterSecret(this.#random);
  }

  /** The files of a machine: its own key, and the sealed key if it may be started first. */
  async setUp(directory: string, random: Random): Promise<NodeIdentity> {
    const { store, nodes } = this.#world;
    await store.makeDirectory(directory);
    const identity = await createNodeKey(store, `${directory}/node_key`, random);
    const files = new Set(store.files());
    const keepers = nodes.filter(({ parts }) => files.has(sealedKeyIn(parts.directory)));
    if (keepers.length < mostKeepers) await store.write(sealedKeyIn(directory), this.#sealed);
    return identity;
  }

  /** Types the passphrase at the machine that asks for it, while no other one has the key; at none whose node was removed. */
  answer(machine: string): Uint8Array | undefined {
    if (this.#isOpenSomewhere() || this.#world.former.some(({ name }) => name === machine)) return undefined;
    this.#world.trace.line('the operator gives the passphrase');
    return ascii(this.passphrase);
  }

  #isOpenSomewhere(): boolean {
    return this.#world.nodes.some(({ daemon }) => daemon?.signer.ready === true);
  }

  /** Looks after the cluster from now on: where nobody has the key, one machine that has it sealed is started anew. */
  watch(): void {
    const { clock } = this.#world;
    clock.after(lookMs, () => {
      this.#look();
      this.watch();
    });
  }

  #look(): void {
    const world = this.#world;
    const awake = world.awake();
    if (awake.length === 0 || this.#isOpenSomewhere()) this.#lockedSinceMs = undefined;
    else this.#lockedSinceMs ??= world.nowMs;
    if (this.#lockedSinceMs === undefined || world.nowMs - this.#lockedSinceMs < lockedMs) return;
    const keeper = awake.find(({ parts }) => world.store.files().includes(sealedKeyIn(parts.directory)));
    if (keeper === undefined) return;
    this.#lockedSinceMs = undefined;
    world.trace.line(`nobody has the master key: ${keeper.name} is started anew`);
    world.kill(keeper);
    void world.start(keeper);
  }

  /** Keeps what is in a file that only the operator could make again. */
  backUp(path: string, bytes: Uint8Array): void {
    if (/\/(?:node_key|cluster_secrets|master\.sealed)$/.test(path)) this.#copies.set(path, bytes);
  }

  /** What the errors' remedies tell to do: restores a key from its copy, removes another file, waits where it is no file; then starts the node again. */
  async repair(node: SimulatedNode, error: unknown): Promise<void> {
    const { store, trace, clock } = this.#world;
    const path = isChimeraError(error) ? /(\/machines\/[^\s:/]+\/[^\s:,']+)/.exec(error.message)?.[1] : undefined;
    const copy = path === undefined ? undefined : this.#copies.get(path);
    if (path !== undefined && copy !== undefined) {
      trace.line(`the operator restores ${path}`);
      await store.write(path, copy);
    } else if (path !== undefined) {
      trace.line(`the operator removes ${path}`);
      await store.remove(path);
    }
    clock.after(5_000, () => void this.#world.start(node));
  }
}
