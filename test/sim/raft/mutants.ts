/**
 * Bugs that real systems had, as changes of the source: what each file would have to say for the bug to be there. They are made in
 * a copy (../mutants.ts), one at a time, and the simulator has to find each of them. A text that does not occur exactly once
 * is an error: the source has moved on, and the bug has to be written anew.
 */

export interface Change {
  readonly file: string;
  readonly find: string;
  readonly put: string;
}

export interface Mutant {
  readonly name: string;
  /** What is wrong, for people. */
  readonly what: string;
  readonly changes: readonly Change[];
}

const change = (file: string, find: string, put: string): Change => ({ file, find, put });
const raft = (file: string, find: string, put: string): Change => change(`engine/raft/${file}.ts`, find, put);

/**
 * Not wrong: a simpler leader. This one finds the last entry that two logs share at once, and so never sends a follower less than what
 * replaces its other entries; followers that would take that badly need a leader that does.
 */
const BACKS_OFF_TO_MATCH = raft('leader', 'Math.min(m.index, r.log.lastWithin(m.hint, m.logTerm) + 1)', 'p.match + 1');

export const MUTANTS: readonly Mutant[] = [
  // ---------------------------------------------------------------- what is durable
  {
    name: 'vote-not-kept',
    what: 'the vote is not written: a restarted voter votes again',
    changes: [
      raft(
        'store',
        'this.file.update({ hardState });',
        'this.file.update({ hardState: { term: hardState.term, vote: 0 } });',
      ),
    ],
  },
  {
    name: 'term-not-kept',
    what: 'term and vote are not written',
    changes: [raft('store', 'this.file.update({ hardState });', '')],
  },
  {
    name: 'answer-before-sync',
    what: 'votes and acknowledgements leave before what they speak of is durable',
    changes: [
      raft(
        'core',
        'out.afterWrite = r.afterWrite.length > 0 ? r.afterWrite : NONE;',
        'for (const m of r.afterWrite) r.messages.push(m);\n    out.afterWrite = NONE;',
      ),
    ],
  },
  {
    name: 'own-entry-counts-early',
    what: 'a leader counts its own entries before they are durable',
    changes: [
      raft(
        'leader',
        'r.append(new Entry(index, r.term, kind, bytes, start, length));',
        'r.append(new Entry(index, r.term, kind, bytes, start, length));\n  const self = r.peers.find(r.id);\n  if (self !== undefined) self.match = index;',
      ),
    ],
  },
  {
    name: 'own-vote-counts-early',
    what: 'a candidate counts its own vote before it is durable',
    changes: [
      raft('election', 'ask(r, VOTE, r.term, force);', 'ask(r, VOTE, r.term, force);\n  count(r, r.id, true);'),
      raft('election', 'if (type === VOTE) r.sendAfterWrite(m);\n    else r.send(m);', 'r.send(m);'),
      raft('leader', "must(r.writes.durableTerm === r.term, 'the vote of a leader for itself is durable');", ''),
    ],
  },
  {
    name: 'aba-of-writes',
    what: 'an old write that ends vouches for newer entries at the same indexes',
    changes: [raft('writes', 'for (const batch of this.underWay) batch.upTo = Math.min(batch.upTo, index - 1);', '')],
  },
  {
    name: 'durable-index-stays',
    what: 'entries that replace durable ones count as durable at once',
    changes: [raft('writes', 'this.durable = Math.min(this.durable, index - 1);', '')],
  },
  {
    name: 'loss-forgotten',
    what: 'a replica that has lost what it promised takes part again under its old id',
    changes: [raft('replica', 'this.isLost = restored.isLost;', 'this.isLost = false;')],
  },
  {
    name: 'apply-before-commit',
    what: 'entries are applied when they are durable here, committed or not',
    changes: [
      raft('core', 'const committed = Math.min(r.commit, r.writes.durable);', 'const committed = r.writes.durable;'),
    ],
  },

  // ---------------------------------------------------------------- elections
  {
    name: 'vote-without-log-check',
    what: 'votes go to candidates with older logs',
    changes: [
      raft(
        'election',
        'const isUpToDate = m.logTerm > lastTerm || (m.logTerm === lastTerm && m.index >= lastIndex);',
        'const isUpToDate = m.logTerm + lastTerm + lastIndex >= 0;',
      ),
    ],
  },
  {
    name: 'vote-by-length-only',
    what: 'the longer log wins, whatever its last term',
    changes: [
      raft(
        'election',
        'const isUpToDate = m.logTerm > lastTerm || (m.logTerm === lastTerm && m.index >= lastIndex);',
        'const isUpToDate = lastTerm >= 0 && m.index >= lastIndex;',
      ),
    ],
  },
  {
    name: 'half-elects',
    what: 'half of an even number of voters elects a leader: ceil(n/2)',
    changes: [
      raft(
        'progress',
        'if (granted * 2 > voters.length) return VOTE_GRANTED;',
        'if (granted * 2 >= voters.length) return VOTE_GRANTED;',
      ),
    ],
  },
  {
    name: 'half-commits',
    what: 'half of an even number of voters commits: ceil(n/2)',
    changes: [raft('progress', 'return sorted[count >> 1];', 'return sorted[(count - 1) >> 1];')],
  },
  {
    name: 'prevote-moves-terms',
    what: 'who is asked for a pre-vote takes over its term',
    changes: [raft('core', 'if (m.term > r.term && m.type !== PREVOTE && (', 'if (m.term > r.term && (')],
  },
  {
    name: 'no-prevote',
    what: 'every time-out begins a term',
    changes: [raft('election', 'else askForPrevotes(r);', 'else askForVotes(r, false);')],
  },
  {
    name: 'voters-not-sticky',
    what: 'voters who hear of a leader answer candidates all the same',
    changes: [raft('core', 'if (asksForVote && !m.force && hearsLeader(r)) return;', '')],
  },
  {
    name: 'learner-leads',
    what: 'a learner campaigns',
    changes: [
      raft('election', 'return r.configs.hasVoterSince(r.commit, r.id);', 'return r.config.members.includes(r.id);'),
    ],
  },
  {
    name: 'learners-elect',
    what: 'votes of learners count',
    changes: [
      raft('election', 'if (p.id === r.id || !r.config.isVoter(p.id)) continue;', 'if (p.id === r.id) continue;'),
      raft(
        'progress',
        'const incoming = this.resultOf(config.voters);',
        'const incoming = this.resultOf(config.members);',
      ),
    ],
  },
  {
    name: 'learners-commit',
    what: 'acknowledgements of learners count',
    changes: [
      raft(
        'progress',
        'const incoming = this.ofMajority(config.voters, false);',
        'const incoming = this.ofMajority(config.members, false);',
      ),
    ],
  },

  // ---------------------------------------------------------------- replication
  {
    name: 'commit-of-old-term',
    what: 'entries of earlier terms are committed by counting (figure 8 of the paper)',
    changes: [
      raft(
        'leader',
        'if (index <= r.commit || r.log.termAt(index) !== r.term) return;',
        'if (index <= r.commit) return;',
      ),
    ],
  },
  {
    name: 'repeated-append-cuts',
    what: 'a repeated or late APPEND cuts off what lies behind it, though nothing conflicts',
    changes: [
      raft(
        'follower',
        'if (i === entries.length) return;',
        'const end = m.index + entries.length + 1;\n  if (i === entries.length && end > r.commit && end <= r.log.lastIndex) r.truncateFrom(end);\n  if (i === entries.length) return;',
      ),
    ],
  },
  {
    name: 'matching-entries-cut',
    what: 'an APPEND replaces entries that are there already',
    changes: [
      raft(
        'follower',
        'while (i < entries.length && r.log.termAt(entries[i].index) === entries[i].term) i++;',
        'while (i < entries.length && entries[i].index <= r.commit) i++;',
      ),
    ],
  },
  {
    name: 'committed-entries-cut',
    what: 'a late APPEND of an earlier leader cuts off committed entries',
    changes: [
      raft('follower', 'if (m.index < r.commit) {', 'if (m.index < r.log.baseIndex) {'),
      raft(
        'follower',
        'if (i === entries.length) return;',
        'const end = m.index + entries.length + 1;\n  if (i === entries.length && end <= r.log.lastIndex) r.truncateFrom(end);\n  if (i === entries.length) return;',
      ),
      raft(
        'replica',
        "must(index > this.commit, 'a committed entry is never replaced');",
        'if (this.commit >= index) this.commit = index - 1;',
      ),
    ],
  },
  {
    name: 'acknowledges-too-much',
    what: 'a follower acknowledges its whole log, not what the APPEND proves',
    changes: [
      BACKS_OFF_TO_MATCH,
      raft('follower', 'acknowledge(r, m.from, last);', 'acknowledge(r, m.from, r.log.lastIndex);'),
    ],
  },
  {
    name: 'commit-beyond-append',
    what: 'a follower commits as far as its leader, past what the APPEND proves',
    changes: [
      BACKS_OFF_TO_MATCH,
      raft('follower', 'r.commitTo(Math.min(m.commit, last));', 'r.commitTo(Math.min(m.commit, r.log.lastIndex));'),
    ],
  },
  {
    name: 'heartbeat-commits-all',
    what: 'heartbeats carry the commit index, past what is known to match',
    changes: [
      raft('leader', 'm.commit = Math.min(p.match, r.commit);', 'm.commit = r.commit;'),
      raft(
        'follower',
        'r.commitTo(m.commit);\n  const reply = r.message(HEARTBEAT_REPLY',
        'r.commitTo(Math.min(m.commit, r.log.lastIndex));\n  const reply = r.message(HEARTBEAT_REPLY',
      ),
    ],
  },
  {
    name: 'match-from-sent',
    what: 'any acknowledgement stands for everything that was sent',
    changes: [raft('leader', 'p.match = m.index;', 'p.match = Math.max(m.index, p.next - 1);')],
  },
  {
    name: 'stale-acknowledgement',
    what: 'acknowledgements of an earlier term count after an election',
    changes: [
      raft(
        'core',
        'if (m.term < r.term) {\n      this.onEarlierTerm(m);',
        'if (m.term < r.term && m.type !== APPEND_REPLY) {\n      this.onEarlierTerm(m);',
      ),
    ],
  },
  {
    name: 'backs-off-nowhere',
    what: 'a refused APPEND is repeated where it was refused',
    changes: [
      raft(
        'follower',
        'const within = r.log.lastWithin(Math.min(m.index, r.log.lastIndex), m.logTerm);',
        'const within = Math.min(m.index, r.log.lastIndex);',
      ),
      raft('leader', 'Math.min(m.index, r.log.lastWithin(m.hint, m.logTerm) + 1)', 'm.hint + 1'),
    ],
  },
  {
    name: 'window-leaks',
    what: 'the bytes of acknowledged messages stay in the window',
    changes: [raft('progress', 'this.bytes -= this.sizes[this.first];', '')],
  },
  {
    name: 'uncommitted-size-drifts',
    what: 'the bytes of committed entries still count against new proposals',
    changes: [raft('leader', 'r.uncommittedBytes -= r.log.entryAt(i)!.length;', 'r.log.entryAt(i);')],
  },
  {
    name: 'fetch-of-old-log',
    what: 'entries read for a member are sent though its window has moved on',
    changes: [
      raft(
        'leader',
        'entries[0].index === p.next && !p.isPaused && r.log.termAt(last.index) === last.term',
        '!p.isPaused',
      ),
    ],
  },

  // ---------------------------------------------------------------- reads
  {
    name: 'read-without-round',
    what: 'whoever believes to lead answers reads at once',
    changes: [
      raft(
        'leader',
        'else r.reads.add(from, token, incarnation, r.commit);',
        'else answerRead(r, from, token, incarnation, r.commit);',
      ),
    ],
  },
  {
    name: 'read-before-noop',
    what: 'a new leader answers reads before it knows what is committed',
    changes: [
      raft(
        'leader',
        'if (!r.knowsCommit) r.reads.hold(from, token, incarnation);',
        "if (r.role !== LEADER) throw new Error('not here');",
      ),
    ],
  },
  {
    name: 'read-joins-round',
    what: 'a read counts answers of a heartbeat round begun before it came',
    changes: [
      raft(
        'reads',
        'this.fresh.push({ from, token, incarnation, index, round: 0 });',
        'this.waiting.push({ from, token, incarnation, index, round: this.round });',
      ),
    ],
  },
  {
    name: 'read-by-any-answer',
    what: 'any answer to a heartbeat confirms the newest round',
    changes: [raft('leader', 'if (m.round > p.ackedRound) p.ackedRound = m.round;', 'p.ackedRound = r.reads.round;')],
  },
  {
    name: 'rounds-outlive-terms',
    what: 'rounds answered in an earlier term count in a later one',
    changes: [raft('progress', 'this.ackedRound = 0;\n    this.sentCommit', 'this.sentCommit')],
  },
  {
    name: 'read-token-again',
    what: 'the number of a read that was answered or given up is used again for the next',
    changes: [
      raft(
        'reads',
        'number: ++this.lastQuestion, since: now',
        'number: (this.lastQuestion = this.questions.length + 1), since: now',
      ),
    ],
  },
  {
    name: 'read-token-of-earlier-life',
    what: 'an answer to a question asked before a restart serves one asked after it',
    changes: [raft('core', 'if (m.incarnation === r.reads.incarnation) r.reads.answer', 'r.reads.answer')],
  },
  {
    name: 'lease-never-ends',
    what: 'a leader that once had a majority reads without asking from then on',
    changes: [raft('leader', 'return since >= 0 && r.clock - since < r.options.leaseTicks;', 'return since >= 0;')],
  },
  {
    name: 'lease-from-answer',
    what: 'a lease begins when answers arrive, not when the round began',
    changes: [
      raft(
        'leader',
        'if (m.round > p.ackedRound) p.ackedRound = m.round;',
        'if (m.round > p.ackedRound) {\n    p.ackedRound = m.round;\n    r.reads.heardAt = r.clock;\n  }',
      ),
      raft(
        'leader',
        'const since = r.reads.tickOf(r.peers.roundOfQuorum(r.config));',
        'const since = r.peers.roundOfQuorum(r.config) > 0 ? r.reads.heardAt : -1;',
      ),
      raft('reads', 'private lastQuestion = 0;', 'private lastQuestion = 0;\n  heardAt = 0;'),
    ],
  },
  {
    name: 'lease-survives-transfer',
    what: 'a leader that has told another to take over still reads by its lease',
    changes: [
      raft(
        'leader',
        'if (r.options.leaseTicks === 0 || r.hasForfeited || r.transferee !== 0) return false;',
        'if (r.options.leaseTicks === 0) return false;',
      ),
    ],
  },
  {
    name: 'lease-forgotten-in-restart',
    what: 'a restarted voter does not wait for a lease that it may have promised',
    changes: [
      raft(
        'replica',
        'this.sinceLeader = options.leaseTicks > 0 ? 0 : options.electionTicks;',
        'this.sinceLeader = options.electionTicks;',
      ),
    ],
  },

  // ---------------------------------------------------------------- members
  {
    name: 'single-step-change',
    what: 'any change of voters takes effect in one step, without a joint configuration',
    changes: [raft('change', 'hasSameVoters ? next : next.withOutgoing(config.voters)', 'next')],
  },
  {
    name: 'change-before-noop',
    what: 'single-server changes as first published: a new leader begins one before an entry of its term is committed (Ongaro, 2015)',
    changes: [
      raft(
        'change',
        'hasSameVoters ? next : next.withOutgoing(config.voters)',
        'hasSameVoters || isOneApart(next.voters, config.voters) ? next : next.withOutgoing(config.voters)',
      ),
      raft('change', ' || r.applied < r.electionIndex', ''),
      raft(
        'change',
        'if (config.isJoint || r.commit < r.configs.currentIndex',
        'if (config.isJoint || (r.configs.currentIndex >= r.electionIndex && r.commit < r.configs.currentIndex)',
      ),
      raft(
        'change',
        'function isSame(',
        'function isOneApart(a: readonly ReplicaId[], b: readonly ReplicaId[]): boolean {\n  return a.filter((id) => !b.includes(id)).length + b.filter((id) => !a.includes(id)).length === 1;\n}\n\nfunction isSame(',
      ),
    ],
  },
  {
    name: 'two-changes-at-once',
    what: 'a change begins while another is under way',
    changes: [
      raft(
        'change',
        'if (config.isJoint || r.commit < r.configs.currentIndex || r.applied < r.electionIndex) return CHANGE_UNDER_WAY;',
        '',
      ),
    ],
  },
  {
    name: 'change-effective-when-committed',
    what: 'a configuration takes effect when it is committed, not when it is in the log',
    changes: [
      raft('replica', 'return this.configs.current;', 'return this.configs.at(this.commit);'),
      raft('replica', 'this.commit = index;\n  }', 'this.commit = index;\n    this.followConfig();\n  }'),
    ],
  },
  {
    name: 'joint-commits-by-new',
    what: 'in a joint configuration the majority of the new voters commits',
    changes: [
      raft(
        'progress',
        'return config.isJoint ? Math.min(incoming, this.ofMajority(config.outgoing, false)) : incoming;',
        'return incoming;',
      ),
    ],
  },
  {
    name: 'joint-elects-by-new',
    what: 'in a joint configuration the majority of the new voters elects',
    changes: [
      raft(
        'progress',
        'if (!config.isJoint || incoming === VOTE_REFUSED) return incoming;',
        'if (config.voters.length > 0) return incoming;',
      ),
    ],
  },
  {
    name: 'joint-reads-by-new',
    what: 'in a joint configuration the majority of the new voters confirms reads',
    changes: [
      raft(
        'progress',
        'return config.isJoint ? Math.min(incoming, this.ofMajority(config.outgoing, true)) : incoming;',
        'return incoming;',
      ),
    ],
  },
  {
    name: 'removed-still-count',
    what: 'who was removed still counts: acknowledgements of any majority of all who are or were there',
    changes: [
      raft(
        'progress',
        'const incoming = this.ofMajority(config.voters, false);',
        'const incoming = this.ofMajority(this.everybody(config), false);',
      ),
      raft(
        'progress',
        '/** The newest heartbeat round that a majority has answered. */',
        'private everybody(config: Configuration): readonly ReplicaId[] {\n    return this.list.filter((p) => config.isVoter(p.id) || p.match > 0).map((p) => p.id);\n  }\n\n  /** The newest heartbeat round that a majority has answered. */',
      ),
      raft(
        'progress',
        'for (const id of config.members) {',
        'for (const p of before) if (!config.members.includes(p.id)) this.list.push(p);\n    for (const id of config.members) {',
      ),
    ],
  },
  {
    name: 'joint-never-left',
    what: 'a joint configuration that is committed is not ended',
    changes: [raft('leader', 'appendConfig(r, config.withoutOutgoing());', '')],
  },
  {
    name: 'transfer-never-given-up',
    what: 'a transfer to a member that does not take over blocks writes for good',
    changes: [raft('leader', 'if (r.transferee !== 0 && ++r.sinceTransfer >= electionTicks) r.transferee = 0;', '')],
  },

  // ---------------------------------------------------------------- snapshots
  {
    name: 'snapshot-takes-back',
    what: 'a late snapshot takes back what was applied since',
    changes: [
      raft('follower', 'if (snapshot.index > r.commit) {', 'if (snapshot.index > 0) {'),
      raft(
        'follower',
        'if (r.log.termAt(snapshot.index) === snapshot.term) r.commitTo(snapshot.index);\n    else restore',
        'restore',
      ),
    ],
  },
  {
    name: 'snapshot-newest-config',
    what: 'a snapshot carries the newest configuration, not the one of its entry',
    changes: [
      raft(
        'core',
        'config: configs.at(index), configIndex: configs.indexAt(index)',
        'config: configs.current, configIndex: configs.currentIndex',
      ),
    ],
  },
  {
    name: 'snapshot-config-ignored',
    what: 'the configuration of an installed snapshot is ignored',
    changes: [
      raft(
        'follower',
        'r.configs.restart(configIndex, config);',
        'if (configIndex < 0) r.configs.restart(configIndex, config);',
      ),
    ],
  },
  {
    name: 'snapshot-keeps-writes',
    what: 'writes under way when a snapshot is installed vouch for entries behind it',
    changes: [raft('follower', 'r.writes.truncateFrom(r.commit + 1);', '')],
  },
  {
    name: 'once-not-in-snapshot',
    what: 'the table of clients that ask once is not in the snapshot',
    changes: [change('test/sim/raft/machine.ts', 'once: this.once.encode() }', 'once: new OnceTable().encode() }')],
  },
  {
    name: 'compacts-too-much',
    what: 'the log is cut behind entries that no snapshot has',
    changes: [
      raft(
        'store',
        'this.opened.dropThrough(GROUP, through);',
        'this.opened.dropThrough(GROUP, Math.min(through + 60, this.lastIndex));',
      ),
    ],
  },
  {
    name: 'log-kept-behind-snapshot',
    what: 'a log that ends before the snapshot is kept when a crash came between the two',
    changes: [raft('follower', 'r.writes.next = index + 1;', 'r.writes.next = Math.min(r.writes.next, index + 1);')],
  },

  // ---------------------------------------------------------------- what is applied
  {
    name: 'expiry-by-local-clock',
    what: 'keys expire by the clock of the replica that applies',
    changes: [
      change('test/sim/raft/replica.ts', 'machine.apply(entry);', 'machine.apply(entry, this.wallMs);'),
      change(
        'test/sim/raft/machine.ts',
        'apply(entry: Entry): string[] {',
        'apply(entry: Entry, localMs: number): string[] {',
      ),
      change(
        'test/sim/raft/machine.ts',
        'while (this.batch.next(call)) {',
        'while (this.batch.next(call)) {\n        call.setClock(Math.max(localMs, this.nowMs));',
      ),
    ],
  },
  {
    name: 'time-goes-back',
    what: "a new leader's clock is behind, and its entries carry earlier times",
    changes: [
      change(
        'test/sim/raft/requests.ts',
        'this.lastMs = Math.max(this.lastMs, machine.nowMs, replica.wallMs);',
        'this.lastMs = replica.wallMs;',
      ),
    ],
  },
  {
    name: 'read-not-waiting',
    what: 'a read is served before its index is applied',
    changes: [
      change(
        'test/sim/raft/requests.ts',
        'const due = this.readings.filter((reading) => reading.index <= index);',
        'const due = this.readings;',
      ),
    ],
  },
];
