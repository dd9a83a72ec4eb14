/**
 * hydra: cuts a besieged head out of the descriptor and lets another one grow. The publisher decides (rule.ts, pure) in the
 * stage `reactive` of the hook `rotate`; who has heads grows one when the publisher asks for it (grown-heads.ts). A publisher whose
 * own tor is besieged lets another node publish: what it decides would go through that tor.
 */
import * as v from 'valibot';
import { integer } from '../../core/config/schema.ts';
import {
  adminContract,
  definePlugin,
  electionContract,
  headControlContract,
  meshContract,
  shedContract,
  type Json,
} from '../../core/engine/index.ts';
import { rotateStages, type View } from '../../core/pipeline/index.ts';
import type { Timer } from '../../core/runtime/index.ts';
import { GrownHeads, type Wanted } from './grown-heads.ts';
import { recallMemory, tellMemory } from './memory.ts';
import { GrowRequests } from './requests.ts';
import { createHydraState, decide, type HydraSettings, type HydraState } from './rule.ts';

export { recallMemory, tellMemory } from './memory.ts';
export {
  createHydraState,
  decide,
  type Decision,
  type HydraSettings,
  type HydraState,
  type Replacement,
  type SeenHead,
} from './rule.ts';

const options = v.strictObject({
  /** Heads kept back for the place of a besieged one; a quarter of all, rounded down, when absent. */
  spares: v.optional(integer(0, 64)),
  /** Live introduction points are never fewer while there are as many. */
  floor_points: v.optional(integer(1, 20), 3),
  /** The budget: at most one replacement in this time … */
  cooldown_secs: v.optional(integer(0, 86_400), 600),
  /** … and so many in an hour. */
  max_replacements_per_hour: v.optional(integer(1, 60), 6),
  /** How long a cut head must be calm until it may be live again. */
  return_secs: v.optional(integer(10, 604_800), 1_800),
  /** A head is live about this long, a quarter more or less, while another one rests. */
  age_secs: v.optional(integer(600, 604_800), 21_600),
  /** A head that grew is given up when no head has been cut for so long. */
  shrink_secs: v.optional(integer(60, 604_800), 3_600),
});
export type HydraOptions = v.InferOutput<typeof options>;

const ruleOf = (settings: HydraOptions): HydraSettings => ({
  spares: settings.spares,
  floorPoints: settings.floor_points,
  cooldownMs: settings.cooldown_secs * 1_000,
  perHour: settings.max_replacements_per_hour,
  returnMs: settings.return_secs * 1_000,
  ageMs: settings.age_secs * 1_000,
});
/** What decides where nothing is configured. */
export const defaultHydraSettings: HydraSettings = ruleOf(v.parse(options, {}));

const name = 'hydra';
/** What a publisher says: its epoch, the nodes that should grow, and what the next publisher has to know (memory.ts). */
const recordKind = name;
const growing = v.object({
  epoch: v.number(),
  nodes: v.pipe(v.array(v.pipe(v.string(), v.maxLength(128))), v.maxLength(64)),
});
/** Of so many members the records are kept for the time after their end. */
const maximumKept = 64;
const lookMs = 1_000;

export const hydra = definePlugin<HydraOptions>({
  name,
  summary: 'Cuts a besieged head out of the descriptor and lets another one grow, within a budget.',
  needs: [electionContract],
  wants: [headControlContract, meshContract, adminContract],
  gives: [shedContract],
  section: name,
  options,
  apply(host, settings) {
    const { clock, random } = host.runtime;
    const election = host.need(electionContract);
    const mesh = host.want(meshContract);
    const rule = ruleOf(settings);
    let state = createHydraState();
    let shed: readonly string[] = [];
    let alarm: string | undefined;
    let live: readonly string[] = [];
    let epoch: number | undefined;
    let timer: Timer | undefined;
    /** The last publisher beside this node, and its term. */
    let other: { readonly node: string; readonly epoch: number } | undefined;
    /** What each member said last, and when it came: a dead publisher's word still counts. */
    const heard = new Map<string, { readonly value: Json; readonly atMs: number }>();
    let told = '';
    let yieldedIn: number | undefined;
    /** Nodes that this one, as publisher, asks to grow. */
    let asked: readonly string[] = [];
    const requests = new GrowRequests();
    const grown = new GrownHeads(settings.shrink_secs * 1_000);
    host.give(shedContract, { heads: () => shed });

    const notePublisher = (): void => {
      const { publisher, epoch: term } = election;
      if (publisher !== undefined && publisher !== host.node) other = { node: publisher, epoch: term };
    };
    /** Once a term, and only where somebody is better off. */
    const yieldIfBesieged = ({ heads, epoch: term }: View): void => {
      const besieged = new Set(heads.filter(({ siege }) => siege >= 1).map(({ node }) => node));
      if (!besieged.has(host.node) || yieldedIn === term) return;
      if (heads.every(({ node }) => besieged.has(node))) return;
      yieldedIn = term;
      election.stepDown?.('the tor that it publishes through is under siege');
    };

    host.hooks.rotate.tap({ name, stage: rotateStages.reactive }, (view) => {
      const nowMs = clock.monotonic();
      if (epoch !== view.epoch) {
        notePublisher();
        // Another publisher was there meanwhile: what this one knew is old.
        if (epoch === undefined || (other !== undefined && other.epoch > epoch)) {
          const word = other === undefined ? undefined : heard.get(other.node);
          state = recallMemory(word?.value, word?.atMs ?? nowMs, nowMs) ?? createHydraState();
          requests.clear();
        }
        epoch = view.epoch;
        told = '';
      }
      const { resting, news: barren } = requests.look(view.heads, nowMs);
      for (const node of barren) host.log.warn('a node was asked for another head and has grown none', { node });
      const published = new Set(view.live);
      const decision = decide(
        view.heads.map(({ head, node, siege, candidates }) => ({
          head,
          node,
          siege,
          points: candidates.length,
          published: candidates.some(({ id }) => published.has(id)),
        })),
        state,
        nowMs,
        rule,
        () => random.float(),
        resting,
      );
      ({ state, shed, live } = decision);
      if (decision.alarm !== undefined && alarm === undefined)
        host.log.error('the siege is beyond the budget', { why: decision.alarm });
      ({ alarm } = decision);
      asked = decision.grow;
      requests.ask(asked, view.heads, nowMs);
      const news = JSON.stringify([
        asked,
        [...state.heads].map(([head, { role }]) => [head, role]),
        state.replacements,
      ]);
      if (news !== told) mesh?.publish(recordKind, { epoch: view.epoch, nodes: asked, ...tellMemory(state, nowMs) });
      told = news;
      yieldIfBesieged(view);
      timer?.cancel();
      const nextMs = Math.min(decision.nextMs ?? Infinity, requests.nextMs(nowMs) ?? Infinity);
      if (Number.isFinite(nextMs)) {
        timer = clock.after(nextMs, () => host.signal('peerChanged', { node: host.node, why: 'hydra looks again' }));
      }
      const chosen = new Set(live);
      return {
        live: view.heads
          .filter(({ head }) => chosen.has(head))
          .flatMap(({ candidates }) => candidates.map(({ id }) => id)),
        why: decision.why,
      };
    });

    /** What the publisher wants of this node. */
    const wanted = (): Wanted => {
      const { publisher } = election;
      const isCut = (known: HydraState | undefined): boolean =>
        [...(known?.heads.values() ?? [])].some(({ role }) => role === 'cut');
      if (publisher === host.node) return { asked: asked.includes(host.node), siege: isCut(state) };
      const value = publisher === undefined ? undefined : mesh?.record(recordKind, publisher)?.value;
      const read = v.safeParse(growing, value);
      if (!read.success || read.output.epoch !== election.epoch) return { asked: false, siege: false };
      return { asked: read.output.nodes.includes(host.node), siege: isCut(recallMemory(value, 0, 0)) };
    };

    host.want(adminContract)?.status(name, () => ({
      live: [...live],
      cut: [...state.heads].flatMap(([head, { role }]) => (role === 'cut' ? [head] : [])),
      spare: [...state.heads].flatMap(([head, { role }]) => (role === 'spare' ? [head] : [])),
      shed: [...shed],
      grown: grown.names(),
      replacementsInTheLastHour: state.replacements.length,
      alarm: alarm ?? null,
    }));

    host.hooks.start.tap(name, () => {
      host.defer(() => timer?.cancel());
      if (mesh !== undefined) {
        host.defer(
          mesh.onChange((change) => {
            notePublisher();
            if (change.what !== 'record' || change.kind !== recordKind || change.node === host.node) return;
            const record = mesh.record(recordKind, change.node);
            if (record === undefined) return;
            heard.delete(change.node);
            heard.set(change.node, { value: record.value, atMs: clock.monotonic() });
            for (const node of [...heard.keys()].slice(0, Math.max(0, heard.size - maximumKept))) heard.delete(node);
          }),
        );
      }
      host.background(async (signal) => {
        while (!signal.aborted) {
          await clock.sleep(lookMs, signal).catch(() => undefined);
          notePublisher();
          const control = host.want(headControlContract);
          if (!signal.aborted && control !== undefined) await grown.look(control, wanted(), clock.monotonic());
        }
      });
    });
  },
});
export default hydra;
