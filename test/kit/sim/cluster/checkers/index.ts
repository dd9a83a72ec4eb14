/** The checkers of the invariants, one small family each. I11 (shares of a threshold signer) has no subject yet. */
import type { Directories } from '../directories.ts';
import { checkBounds } from './bounds.ts';
import type { Checker, CheckerContext } from './checker.ts';
import { checkConvergence } from './convergence.ts';
import { checkDirectories } from './directories.ts';
import { checkEpochs } from './epochs.ts';
import { checkMembership } from './membership.ts';
import { checkMessages } from './messages.ts';
import { checkSecrets } from './secrets.ts';
import { checkSessions } from './sessions.ts';

export * from './checker.ts';

export function makeCheckers(context: CheckerContext, directories: Directories): readonly Checker[] {
  return [
    ...[checkEpochs, checkDirectories, checkMessages, checkSecrets, checkSessions, checkBounds, checkMembership].map(
      (make) => make(context),
    ),
    checkConvergence(context, directories),
  ];
}
