/**
 * How the tables of a schema are laid out, as data: what verifier.ts walks along. generated/layouts.ts is made of it.
 */

/** Integers and bools, in the table itself, of any value. */
export const SCALAR = 0;
/** A double in the table itself, which must be a whole number from 0 to 2^53 - 1. */
export const WHOLE = 1;
/** An offset to a vector of elements of `elementBytes` each, without offsets in them: bytes, strings, structs. */
export const VECTOR = 2;
/** An offset to a vector of offsets to tables, all like `tables[0]`. */
export const TABLES = 3;
/** An offset to a table; the byte of the slot before it says which of `tables`, counted from 1. */
export const UNION = 4;

export interface FieldLayout {
  /** Where the vtable has this field's place, in bytes. */
  readonly slot: number;
  readonly kind: number;
  /** What it takes in the table itself. */
  readonly size: number;
  readonly elementBytes: number;
  readonly required: boolean;
  /** Of a VECTOR of structs: where in each there are doubles, which must be whole numbers too. */
  readonly wholes: readonly number[];
  readonly tables: readonly TableLayout[];
}

export interface TableLayout {
  readonly name: string;
  readonly fields: readonly FieldLayout[];
}

export function field(
  slot: number,
  kind: number,
  size: number,
  elementBytes: number,
  required: boolean,
  wholes: readonly number[],
  tables: readonly TableLayout[],
): FieldLayout {
  return { slot, kind, size, elementBytes, required, wholes, tables };
}
