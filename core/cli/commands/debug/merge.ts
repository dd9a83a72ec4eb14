/**
 * `chimera debug merge`: what a publisher does, offline. Verifies descriptors of backends, merges their introduction
 * points and writes the master's two descriptors, all at times that the command line gives.
 */
import { join } from 'node:path';
import { fairShare } from '../../../../plugins/merge/fair-share/index.ts';
import { ChimeraError, messageOf } from '../../../errors.ts';
import {
  addressOfKey,
  blindedKey,
  maxIntroPoints,
  parseOnionAddress,
  revisionKey,
  signBlinded,
  type MasterKey,
  type OnionAddress,
  defaultRingRules,
} from '../../../onion/index.ts';
import {
  createSealer,
  createVerifier,
  volatileRevisions,
  type Candidate,
  type Consensus,
  type HeadReport,
  type SealedDescriptor,
  type Signer,
} from '../../../pipeline/index.ts';
import type { CommandContext, RegisterCommand } from '../../context.ts';
import { readAuthorizedClient, readInputFile, readMasterKeyFile, writeOutputFiles } from '../../files.ts';
import { errorForJson } from '../../output.ts';
import {
  addConsensusOptions,
  addExample,
  collect,
  consensusFrom,
  jsonOption,
  unixSeconds,
  wholeNumber,
  type ConsensusOptions,
} from '../../options.ts';
import { hex, introPointView } from './descriptor-view.ts';

interface Options extends ConsensusOptions {
  readonly key: string;
  readonly validAfter: number;
  readonly votingSeconds: number;
  readonly backend: readonly string[];
  readonly out: string;
  readonly now?: number;
  readonly sendmeInc: number;
  readonly client?: readonly string[];
}

interface Backend {
  readonly address: OnionAddress;
  readonly file: string;
}

function parseBackend(text: string): Backend {
  const at = text.indexOf('=');
  if (at < 1 || at === text.length - 1) {
    throw new ChimeraError('CLI_USAGE', `--backend ${text}: not of the form ADDRESS=FILE`, {
      remedy: "give the backend's own .onion address, an equals sign and the file with its descriptor",
    });
  }
  return { address: parseOnionAddress(text.slice(0, at)), file: text.slice(at + 1) };
}

function signerOf(key: MasterKey): Signer {
  return {
    publicKey: key.publicKey,
    sign: async (period, message) => signBlinded(blindedKey(key, period), message),
    revisionKey: async (period) => revisionKey(blindedKey(key, period)),
  };
}

/** What of a consensus the seal step reads; without relays and shared random values, which only the ring needs. */
function consensusOf(options: Options): Consensus {
  const said = consensusFrom(options);
  if (said === undefined) throw new ChimeraError('CLI_USAGE', '--valid-after and --voting-seconds are missing');
  return {
    ...said,
    ringRules: defaultRingRules,
    sharedRandom: {},
    hsdirs: [],
    sendmeIncrement: options.sendmeInc,
  };
}

function sealedForJson(sealed: SealedDescriptor, file: string, chosen: readonly Candidate[]): Record<string, unknown> {
  return {
    file,
    period: sealed.period.number,
    periodLengthMinutes: sealed.period.lengthMinutes,
    blindedKey: hex(sealed.blindedKey),
    revision: sealed.revision,
    introPoints: chosen.map(({ introPoint, head }) => ({ backend: `${head}.onion`, ...introPointView(introPoint) })),
  };
}

async function run(context: CommandContext, options: Options): Promise<void> {
  const { output, runtime } = context;
  const consensus = consensusOf(options);
  const now = options.now ?? options.validAfter;
  const backends = options.backend.map(parseBackend);
  const key = await readMasterKeyFile(context, options.key);
  const clients = await Promise.all((options.client ?? []).map((client) => readAuthorizedClient(context, client)));

  const files = new Map<HeadReport, string>();
  for (const { address, file } of backends) {
    const descriptor = Buffer.from(await readInputFile(context, file)).toString('utf8');
    const report = {
      head: address,
      node: address,
      address,
      descriptor,
      provenance: 'hsdir',
      observedAt: now * 1000,
    } as const;
    files.set(report, file);
  }
  const { heads, rejected } = createVerifier()([...files.keys()], consensus, now);
  const leftOut = rejected.map(({ report, error }) => ({
    address: `${report.address}.onion`,
    file: files.get(report) ?? '',
    ...errorForJson(error),
  }));
  for (const { report, error } of rejected) {
    const code = error instanceof ChimeraError ? `${error.code}: ` : '';
    output.note(`left out ${report.address}.onion (${files.get(report)}): ${code}${messageOf(error)}`);
  }

  const address = addressOfKey(key.publicKey);
  const candidates = heads.flatMap((head) => head.candidates);
  const common = { address: `${address}.onion`, validAfter: options.validAfter, now };
  if (candidates.length === 0) {
    output.json({ ...common, leftOut });
    throw new ChimeraError(
      'CYCLE_NO_CANDIDATES',
      'no backend is left to take introduction points from; nothing was written',
      {
        remedy: 'give descriptors that the backends published for this consensus, each with its own address',
      },
    );
  }
  const chosen = fairShare(candidates, maxIntroPoints, runtime.random);
  const sealer = createSealer({ signer: signerOf(key), revisions: volatileRevisions(), random: runtime.random });
  const placement = sealer.place(consensus, 1);
  const { sealed } = await sealer.seal({ merged: { sets: [chosen] }, placement, consensus, epoch: 0, now, clients });

  const texts = Object.fromEntries(sealed.descriptors.map(({ slot, texts: [text = ''] }) => [slot, text]));
  await writeOutputFiles(context, options.out, texts);
  output.json({
    ...common,
    clientUses: sealed.slots.clientUses,
    ...Object.fromEntries(
      sealed.descriptors.map((one) => [one.slot, sealedForJson(one, join(options.out, one.slot), chosen)]),
    ),
    backends: heads.map(({ head, candidates: own }) => ({
      address: `${head}.onion`,
      introPoints: own.length,
      merged: chosen.filter((candidate) => candidate.head === head).length,
    })),
    leftOut,
  });
}

export const registerMerge: RegisterCommand = (group, context) => {
  const command = group
    .command('merge')
    .description("merge descriptors of backends into the master's two descriptors, offline; prints JSON")
    .requiredOption('--key <file>', "the master's hs_ed25519_secret_key")
    .requiredOption(
      '--backend <address=file>',
      'a backend and the file with its descriptor; may be given many times',
      collect,
    )
    .requiredOption('--out <directory>', 'where the files "first" and "second" go; it is made when it is missing')
    .option(
      '--now <unix>',
      'the time at which certificates are made and must be valid (default: valid-after)',
      unixSeconds,
    )
    .option('--sendme-inc <cells>', 'consensus parameter cc_sendme_inc', wholeNumber(1, 254), 31)
    .option('--client <key>', 'an X25519 public key that may read the result; may be given many times', collect)
    .addOption(jsonOption().default(true).hideHelp());
  addConsensusOptions(command, true);
  command.action((options: Options) => run(context, options));
  addExample(
    command,
    'chimera debug merge --key hs_ed25519_secret_key --valid-after 1795200000 --voting-seconds 3600 \\',
    '  --backend ADDRESS1=one.txt --backend ADDRESS2=two.txt --out merged/',
  );
};
