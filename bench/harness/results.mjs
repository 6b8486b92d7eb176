// The results of a run as JSON: cells of scenario, row and column, each with one list of rounds for every value.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { median, ratios, spread } from './stats.mjs';

/** Increases with every change that makes old files unreadable. */
const FORMAT = 2;

const inResults = (file) => fileURLToPath(new URL(`../results/${file}`, import.meta.url));

/** The results of the last runs; not in git. */
export const LATEST = inResults('latest.json');
/** The results in docs/performance.md. */
export const PUBLISHED = inResults('published.json');

export function writeResults(file, results) {
  mkdirSync(path.dirname(file), { recursive: true });
  const cells = results.cells.map((cell) => JSON.stringify({ ...cell, values: rounded(cell.values) }));
  const head = JSON.stringify({ format: FORMAT, ...results, cells: [] }, null, 1).replace(/\n? *"cells": \[\]\n?\}$/, '');
  writeFileSync(file, `${head}\n "cells": [\n  ${cells.join(',\n  ')}\n ]\n}\n`);
}

/** @throws Error if the file has another format */
export function readResults(file) {
  const results = JSON.parse(readFileSync(file, 'utf8'));
  if (results.format !== FORMAT) throw new Error(`${file} has format ${results.format}, expected ${FORMAT}: run the benchmarks again`);
  return results;
}

/** Six digits are more than any measurement has, and keep the file readable. */
const round = (value) => (typeof value === 'number' ? Number(value.toPrecision(6)) : (value ?? null));

function rounded(values) {
  return Object.fromEntries(Object.entries(values).map(([name, list]) => [name, Array.from(list, round)]));
}

/** Looks up values in the cells of a run. A value that was not measured is null, so that its table row still appears. */
export class Findings {
  #cells;

  constructor(cells) {
    this.#cells = cells;
  }

  has(scenario) {
    return this.#cells.some((cell) => cell.scenario === scenario);
  }

  rows(scenario) {
    return [...new Set(this.#of(scenario).map(({ row }) => row))];
  }

  columns(scenario) {
    return [...new Set(this.#of(scenario).map(({ column }) => column))];
  }

  /** The names of the values of a cell. */
  names(scenario, row, column = '') {
    return Object.keys(this.#of(scenario).find((cell) => cell.row === row && cell.column === column)?.values ?? {});
  }

  /** All rounds of one value. */
  list(scenario, row, value, column = '') {
    return this.#of(scenario).find((cell) => cell.row === row && cell.column === column)?.values[value] ?? [];
  }

  spread(scenario, row, value, column) {
    return spread(this.list(scenario, row, value, column));
  }

  median(scenario, row, value, column) {
    return median(this.list(scenario, row, value, column));
  }

  /** The median and the spread of the ratios within rounds. */
  ratio(scenario, row, other, value, column) {
    return spread(ratios(this.list(scenario, row, value, column), this.list(scenario, other, value, column)));
  }

  /** The same, of two scenarios. */
  ratioAcross([scenario, other], row, value, column) {
    return spread(ratios(this.list(scenario, row, value, column), this.list(other, row, value, column)));
  }

  /** The same, to the lowest of the others. */
  ratioToLowest(scenario, row, others, value, column) {
    const there = others.filter((other) => this.median(scenario, other, value, column) !== null);
    const lowest = there.toSorted(
      (left, right) => this.median(scenario, left, value, column) - this.median(scenario, right, value, column),
    )[0];
    return lowest === undefined ? null : this.ratio(scenario, row, lowest, value, column);
  }

  #of(scenario) {
    return this.#cells.filter((cell) => cell.scenario === scenario);
  }
}
