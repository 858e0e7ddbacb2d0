#!/usr/bin/env node
/** The executable. What the process has to be for all else comes first; the program is loaded after that. */
import { restartTuned } from './restart.ts';

restartTuned();
const { main } = await import('./program.ts');
await main();
