/**
 * Which squares of the geohash grid a search has to look at: the one in which its centre lies and, as far as the area
 * reaches into them, the eight around it, in a grid just coarse enough that nine squares hold the whole area. Pure
 * arithmetic, any thread.
 */
import {
  cellOf,
  decode,
  degrees,
  distance,
  edge,
  interleave,
  latitudeDistance,
  MAX_LATITUDE,
  MAX_LONGITUDE,
  MAX_STEP,
  MIN_LATITUDE,
  MIN_LONGITUDE,
  place,
  radians,
} from './geohash.ts';

/** Half of the side of Mercator's square, in meters. */
const MERCATOR_MAX_M = 20037726.37;

/** A circle or a rectangle around a centre, sizes in the unit that was asked for. */
export class GeoShape {
  longitude = 0.5;
  latitude = 0.5;
  box = false;
  radius = 0.5;
  width = 0.5;
  height = 0.5;
  /** Meters in the unit. */
  unitMeters = 1;

  /** Meters from the centre to the place of a score, -1 when it is outside. */
  distanceTo(score: number): number {
    decode(score);
    const { longitude, latitude } = place;
    if (this.box) {
      const halfHeight = (this.height * this.unitMeters) / 2;
      if (latitudeDistance(this.latitude, latitude) > halfHeight) return -1;
      const halfWidth = (this.width * this.unitMeters) / 2;
      if (distance(longitude, latitude, this.longitude, latitude) > halfWidth) return -1;
      return distance(this.longitude, this.latitude, longitude, latitude);
    }
    const meters = distance(this.longitude, this.latitude, longitude, latitude);
    return meters > this.radius * this.unitMeters ? -1 : meters;
  }

  /** Meters from the centre to the farthest point. */
  reach(): number {
    if (!this.box) return this.radius * this.unitMeters;
    return Math.sqrt((this.width / 2) ** 2 + (this.height / 2) ** 2) * this.unitMeters;
  }
}

/** The squares around one, as steps to the north and to the east, in the order in which they are searched. */
const STEPS: readonly (readonly [north: number, east: number])[] = [
  [0, 0],
  [1, 0],
  [-1, 0],
  [0, 1],
  [0, -1],
  [1, 1],
  [1, -1],
  [-1, 1],
  [-1, -1],
];

/** Scores from `min` up to but without `max`. */
export interface ScoreRange {
  min: number;
  max: number;
}

/** The ranges of scores in which the members inside a shape lie; ranges may repeat only where a square is its own neighbour. */
export function coveringRanges(shape: GeoShape): ScoreRange[] {
  const bounds = boundingBox(shape);
  let square = new Square(shape, stepFor(shape.reach(), shape.latitude));
  if (square.step > 1 && !square.neighboursHold(bounds)) square = new Square(shape, square.step - 1);
  const ranges: ScoreRange[] = [];
  for (const [north, east] of STEPS) {
    if (square.step >= 2 && square.isBeyond(bounds, north, east)) continue;
    const range = square.neighbour(north, east);
    const last = ranges[ranges.length - 1];
    // In a grid of two squares a side, north and south are the same.
    if (ranges.length > 1 && last.min === range.min) continue;
    ranges.push(range);
  }
  return ranges;
}

interface Bounds {
  west: number;
  east: number;
  south: number;
  north: number;
}

/** The box of coordinates around a shape; a degree of longitude is shortest at the edge that is nearer to a pole. */
function boundingBox(shape: GeoShape): Bounds {
  const height = shape.unitMeters * (shape.box ? shape.height / 2 : shape.radius);
  const width = shape.unitMeters * (shape.box ? shape.width / 2 : shape.radius);
  const { longitude, latitude } = shape;
  const up = degrees(height);
  const narrow = Math.cos(radians(latitude < 0 ? latitude - up : latitude + up));
  const aside = degrees(width / narrow);
  return { west: longitude - aside, east: longitude + aside, south: latitude - up, north: latitude + up };
}

/** The finest grid in which a square and its neighbours should hold a circle; coarser near the poles, where squares are narrow. */
function stepFor(meters: number, latitude: number): number {
  if (meters === 0) return MAX_STEP;
  let step = 1;
  for (let reached = meters; reached < MERCATOR_MAX_M; reached *= 2) step++;
  step -= 2;
  const fromEquator = Math.abs(latitude);
  if (fromEquator > 66) step--;
  if (fromEquator > 80) step--;
  return Math.min(MAX_STEP, Math.max(1, step));
}

/** The square of a grid of 2^step by 2^step in which a shape's centre lies. */
class Square {
  readonly step: number;
  private readonly latitudeCell: number;
  private readonly longitudeCell: number;

  constructor(shape: GeoShape, step: number) {
    this.step = step;
    this.latitudeCell = cellOf(shape.latitude, MIN_LATITUDE, MAX_LATITUDE, step);
    this.longitudeCell = cellOf(shape.longitude, MIN_LONGITUDE, MAX_LONGITUDE, step);
  }

  /** A cell beyond the edge of the map is at the other edge; but the one of longitude 180 is itself beyond, by itself. */
  private cell(cell: number, by: number): number {
    return by === 0 ? cell : (cell + by + 2 ** this.step) % 2 ** this.step;
  }

  private latitudeEdge(by: number): number {
    return edge(this.latitudeCell + by, MIN_LATITUDE, MAX_LATITUDE, this.step);
  }

  private longitudeEdge(by: number): number {
    return edge(this.longitudeCell + by, MIN_LONGITUDE, MAX_LONGITUDE, this.step);
  }

  /** Whether the square and the eight around it hold a box; at an edge of the map they do not, as one is at the other. */
  neighboursHold(bounds: Bounds): boolean {
    const north = edge(this.cell(this.latitudeCell, 1) + 1, MIN_LATITUDE, MAX_LATITUDE, this.step);
    const south = edge(this.cell(this.latitudeCell, -1), MIN_LATITUDE, MAX_LATITUDE, this.step);
    const east = edge(this.cell(this.longitudeCell, 1) + 1, MIN_LONGITUDE, MAX_LONGITUDE, this.step);
    const west = edge(this.cell(this.longitudeCell, -1), MIN_LONGITUDE, MAX_LONGITUDE, this.step);
    return north >= bounds.north && south <= bounds.south && east >= bounds.east && west <= bounds.west;
  }

  /** Whether the neighbour in a direction lies beyond a box, as the square itself reaches out of it there. */
  isBeyond(bounds: Bounds, north: number, east: number): boolean {
    return (
      (north < 0 && this.latitudeEdge(0) < bounds.south) ||
      (north > 0 && this.latitudeEdge(1) > bounds.north) ||
      (east < 0 && this.longitudeEdge(0) < bounds.west) ||
      (east > 0 && this.longitudeEdge(1) > bounds.east)
    );
  }

  /** The scores in a neighbour; those beyond the edge of the map are at its other edge. */
  neighbour(north: number, east: number): ScoreRange {
    const hash = interleave(this.cell(this.latitudeCell, north), this.cell(this.longitudeCell, east));
    const scores = 2 ** (2 * (MAX_STEP - this.step));
    return { min: hash * scores, max: (hash + 1) * scores };
  }
}
