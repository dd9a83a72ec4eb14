#!/usr/bin/env node
/** The executable `chimera`. A command is one module in commands/ and one line here. */
import { registerDebug } from './commands/debug/index.ts';
import { registerImportOnionbalance } from './commands/import-onionbalance.ts';
import { registerInit } from './commands/init.ts';
import { registerJoin } from './commands/join.ts';
import { registerLab } from './commands/lab.ts';
import { registerMatrix } from './commands/matrix.ts';
import { registerPeer } from './commands/peer.ts';
import { registerRun } from './commands/run.ts';
import { registerSimulate } from './commands/simulate.ts';
import { registerStatus } from './commands/status.ts';
import { registerPanic } from './commands/panic.ts';
import { registerStepDown } from './commands/step-down.ts';
import { registerVault } from './commands/vault.ts';
import { runProgram } from './program.ts';

process.exitCode = await runProgram({
  commands: [
    registerInit,
    registerJoin,
    registerRun,
    registerStatus,
    registerPanic,
    registerStepDown,
    registerPeer,
    registerVault,
    registerLab,
    registerMatrix,
    registerSimulate,
    registerImportOnionbalance,
    registerDebug,
  ],
  arguments: process.argv.slice(2),
});
