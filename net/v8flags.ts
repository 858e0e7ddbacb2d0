/**
 * What V8 is told about this program, from its first import on, for all threads. Only hints: without them everything works.
 */
import { setFlagsFromString } from 'node:v8';

// The way of a command from the parser to its handler and back is some thirty small functions, and the default budget of the
// optimizing compiler (920 bytes of bytecode per optimized function) runs out half-way. With this one a GET costs a fifth less in
// process (155 to 121 ns, 64 pipelined).
setFlagsFromString('--max-inlined-bytecode-size=1000');
setFlagsFromString('--max-inlined-bytecode-size-cumulative=3000');

// The heap, buffers outside of it counted, may grow to three times what lives there before it is collected. By itself V8 collected a
// replica's 16 MB after every 10 MB of entries, that is once in 330 thousand SETs, each time 25 to 60 ms from its first mark to its
// end; so it does a third as often. A single node allots next to nothing per command.
setFlagsFromString('--heap-growing-percent=200');

// Each thread has one function compiled at a time. As many at once as V8 has threads (four) kept two processors from the thread
// whose code they were compiling: its longest pause, as a snapshot begins under load, was 21 and 33 ms, and is 12 and 13. The first
// 300,000 SETs of a new server, 16 pipelined: 648 instead of 571 thousand a second (medians of five in turn).
// Node 20 does not know it, and would say so.
if (Number.parseInt(process.versions.node, 10) >= 22) setFlagsFromString('--concurrent-turbofan-max-threads=1');
