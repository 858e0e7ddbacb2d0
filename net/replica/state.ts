/**
 * What a group's state has beside the keys: where its replicas are, and which clients' commands ran once. Changed by entries of the
 * log only, kept in snapshots. Main thread.
 *
 * Entries of the server's own are commands whose name begins with a NUL byte, which no client can send past the dispatcher:
 * ```
 * \0clock                                                     nothing: the entry's time is what counts
 * \0member  id node-id name host peer-port client-port        this replica is there
 * \0forget  id                                                it is no more
 * ```
 *
 * ```
 * in a snapshot's header, little-endian: f64 configIndex | u32 length, configuration | u32 length, roster | u32 length, once
 * ```
 */
import type { Call } from '../../engine/call.ts';
import { decodeConfig, encodeConfig } from '../../engine/raft/config.ts';
import type { SnapshotMeta } from '../../engine/raft/entry.ts';
import { OnceTable } from '../../engine/raft/once.ts';
import { type Member, Roster } from '../../engine/raft/roster.ts';

export const CLOCK = '\0clock';
export const MEMBER = '\0member';
export const FORGET = '\0forget';

const HEADER_BYTES = 8;

export class GroupState {
  once = new OnceTable();
  roster = new Roster();
  /** Called when the roster has changed. */
  onRoster: () => void = () => {};

  /** The state of a replica that has applied nothing yet; where these members are is known all the same. */
  begin(members: readonly Member[]): void {
    this.once = new OnceTable();
    this.roster = new Roster(members);
  }

  /** Applies the entry of the server's own in `call`. */
  apply(call: Call): void {
    const words = Array.from({ length: call.argc }, (_, i) => text(call, i));
    if (words[0] === MEMBER) {
      const [, id, nodeId, name, host, peerPort, clientPort] = words;
      this.roster.set({
        replica: Number(id),
        nodeId,
        name,
        host,
        peerPort: Number(peerPort),
        clientPort: Number(clientPort),
      });
      this.onRoster();
    } else if (words[0] === FORGET) {
      this.roster.remove(Number(words[1]));
      this.onRoster();
    }
    call.reply.ok();
  }

  /** For the header of a snapshot that ends as `meta` says. */
  encode(meta: SnapshotMeta): Uint8Array {
    const parts = [encodeConfig(meta.config), this.roster.encode(), this.once.encode()];
    const out = Buffer.alloc(HEADER_BYTES + parts.reduce((sum, part) => sum + 4 + part.length, 0));
    out.writeDoubleLE(meta.configIndex, 0);
    let at = HEADER_BYTES;
    for (const part of parts) {
      out.writeUInt32LE(part.length, at);
      out.set(part, at + 4);
      at += 4 + part.length;
    }
    return out;
  }

  /** The state is that of a snapshot with this header; what the header says of the snapshot. */
  decode(bytes: Uint8Array, index: number, term: number): SnapshotMeta {
    const { meta, roster, once } = readHeader(bytes, index, term);
    this.roster = roster;
    this.once = once;
    this.onRoster();
    return meta;
  }
}

interface Header {
  meta: SnapshotMeta;
  roster: Roster;
  once: OnceTable;
}

export function readHeader(bytes: Uint8Array, index: number, term: number): Header {
  const buf = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const configIndex = buf.readDoubleLE(0);
  let at = HEADER_BYTES;
  const next = (): Uint8Array => {
    const length = buf.readUInt32LE(at);
    if (at + 4 + length > buf.length) throw new Error('a snapshot says more of its group than it holds');
    at += 4 + length;
    return buf.subarray(at - length, at);
  };
  const config = next();
  const meta = { index, term, config: decodeConfig(config, 0, config.length), configIndex };
  return { meta, roster: Roster.decode(next()), once: OnceTable.decode(next()) };
}

/** The words of the entry that puts a member into the roster. */
export function memberWords(member: Member): string[] {
  const { replica, nodeId, name, host, peerPort, clientPort } = member;
  return [MEMBER, String(replica), nodeId, name, host, String(peerPort), String(clientPort)];
}

function text(call: Call, i: number): string {
  return Buffer.from(call.buf.subarray(call.off[i], call.off[i] + call.len[i])).toString();
}
