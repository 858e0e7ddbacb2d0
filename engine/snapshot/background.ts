/** Imported first by a thread of the pool: what it loads and compiles is in no hurry either. */
import { stepBack } from '../priority.ts';

stepBack();
