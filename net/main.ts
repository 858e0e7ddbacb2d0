#!/usr/bin/env node
/** The executable. What the process has to be for all else comes first; the program is loaded after that. */
import { askForHugePages } from './hugepages.ts';

askForHugePages();
const { main } = await import('./program.ts');
await main();
