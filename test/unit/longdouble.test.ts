import { describe, expect, it } from 'vitest';
import { addLongDouble, formatLongDouble, parseLongDouble } from '../../engine/longdouble.ts';

function parse(text: string) {
  const bytes = new TextEncoder().encode(`9${text}9`);
  return parseLongDouble(bytes, 1, bytes.length - 2);
}

function sum(x: string, y: string): string | undefined {
  const one = parse(x);
  const other = parse(y);
  const result = one && other && addLongDouble(one, other);
  return result && formatLongDouble(result);
}

// What redis-server 7.0.15 on x86-64 replies to SET k x, INCRBYFLOAT k y.
describe('long double', () => {
  it.each([
    ['0.1', '0.2', '0.3'],
    ['10.50', '0.1', '10.6'],
    ['3.0', '1.5e3', '1503'],
    ['0', '3', '3'],
    ['5.0e3', '2.0e2', '5200'],
    ['1', '-1', '0'],
    ['-1e-30', '0', '0'],
    ['18446744073709551616', '1', '18446744073709551616'],
    ['18446744073709551615', '0.5', '18446744073709551616'],
    ['9007199254740993', '0.25', '9007199254740993.25'],
    ['6e-18', '0', '0.00000000000000001'],
    ['5e-18', '0', '0'],
    ['0x1p-3', '-0x1.8p1', '-2.875'],
    ['.5', '5.', '5.5'],
  ])('%s + %s = %s', (x, y, expected) => {
    expect(sum(x, y)).toBe(expected);
  });

  it.each(['', '.', 'e5', '1e', '+-1', '0x', 'nan', ' 1', '1 ', '1e5000', '-1e5000', '1e-5000', '1,5'])(
    '%j is no number',
    (text) => {
      expect(parse(text)).toBeUndefined();
    },
  );

  it('refuses sums that are infinite or not a number', () => {
    expect(sum('inf', '1')).toBeUndefined();
    expect(sum('inf', '-inf')).toBeUndefined();
    expect(sum('1.1e4932', '1.1e4932')).toBeUndefined();
    expect(sum('1.1e4932', '0')?.length).toBe(4933);
  });

  it('rounds to 64 bits, half to even', () => {
    expect(sum('36893488147419103233', '0')).toBe('36893488147419103232');
    expect(sum('36893488147419103235', '0')).toBe('36893488147419103236');
  });
});
