/** The attack simulator: defences against attackers on a virtual clock, without keys. docs/attack-simulator.md explains it. */
export {
  evenly,
  type Attack,
  type Attacker,
  type AttackerDefinition,
  type AttackView,
  type Sight,
} from './attacker.ts';
export { attackers } from './attackers/index.ts';
export { defenceOf, defences, type Defence } from './defences.ts';
export { runAttacks, type AttackJob } from './job.ts';
export { findAttacker, findDefence } from './load.ts';
export { metricNames, type MetricName, type Metrics } from './measure.ts';
export { alignedLines, plotLines, plotSvg, showValue, sparkline, tableLines } from './report.ts';
export { simulateAttack, type AttackRun, type AttackSetup } from './run.ts';
export { budgets, defaultScenario, type Scenario } from './scenario.ts';
export { figureOf, summarize, type Figure, type Summary } from './statistics.ts';
