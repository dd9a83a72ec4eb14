#!/usr/bin/env node
/** The executable `chimera`. A command is one module in commands/ and one line here. */
import { registerDebug } from './commands/debug/index.ts';
import { runProgram } from './program.ts';

process.exitCode = await runProgram({
  commands: [registerDebug],
  arguments: process.argv.slice(2),
});
