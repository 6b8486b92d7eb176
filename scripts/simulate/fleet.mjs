// Who the hosts are, and when they run. The shares were written down before the first simulation, and a result is no reason to change them.
//
// When: of the schedules of about 771 public repositories with scheduled GitHub workflows, sampled in July 2021 by V. Sochat
// (https://researchapps.github.io/cron, data/crons.json of github.com/researchapps/cron at 98b0a74, MIT). Counted here: each different
// expression of a repository once, without the workflows of CodeQL, whose template draws a random minute: 588 schedules. A host has one of them.
// All times are UTC, as on GitHub and by default in Airflow: hosts that keep local time would spread the load over the time zones.
//
// How long: half of the tasks take less than a second, as half of Azure's functions do ("Serverless in the Wild", USENIX ATC 2020). That 90 %
// take less than 20 s is an assumption, and so are one to five tasks a run, one after the other. It is the hard case: what takes longer
// spreads the load of a minute by itself.
import { seededRandom } from '../../build/test/helpers/stepped-transport.js';
import { hashed } from './random.mjs';

const HOURS = Array.from({ length: 24 }, (_, hour) => hour);
const EVERY_MINUTE = Array.from({ length: 60 }, (_, minute) => minute);
const every = (step, from = 0) => EVERY_MINUTE.filter((minute) => minute >= from && (minute - from) % step === 0);
const hoursBy = (step, from = 0) => HOURS.filter((hour) => hour >= from && (hour - from) % step === 0);

/** At which hour those run that run once in a day: of 231 schedules a day, and of 248 a week. */
const DAILY_HOURS = [98, 28, 10, 10, 7, 6, 2, 7, 11, 4, 7, 2, 3, 1, 1, 8, 2, 1, 4, 1, 10, 0, 2, 6];
const WEEKLY_HOURS = [55, 47, 8, 15, 2, 6, 8, 1, 6, 3, 1, 0, 77, 3, 1, 2, 1, 1, 1, 1, 0, 0, 9, 0];

/** At which minute they run, of 530: 417 at the full hour, 62 at half past, the others anywhere. */
const MINUTES = { full: 417, half: 62, of: 530 };

/**
 * `of`: how many of the 588 schedules; `onDays`: the share of the days on which it runs. Those with `atHour` run once on such a day, at an
 * hour and a minute that each host draws.
 */
export const SCHEDULES = [
  { of: 231, onDays: 1, atHour: DAILY_HOURS },
  { of: 248, onDays: 1 / 7, atHour: WEEKLY_HOURS },
  { of: 5, onDays: 1 / 2, atHour: WEEKLY_HOURS },
  { of: 6, onDays: 1 / 15, atHour: DAILY_HOURS },
  { of: 21, onDays: 1 / 30, atHour: DAILY_HOURS },
  { of: 19, onDays: 1 / 200, atHour: DAILY_HOURS },
  { of: 35, onDays: 1, hours: HOURS, minutes: [0] },
  { of: 1, onDays: 1, hours: HOURS, minutes: [20] },
  { of: 2, onDays: 1, hours: HOURS, minutes: every(30) },
  { of: 3, onDays: 1, hours: hoursBy(6), minutes: [0] },
  { of: 1, onDays: 1, hours: hoursBy(6, 2), minutes: [0] },
  { of: 1, onDays: 1, hours: hoursBy(6, 4), minutes: [0] },
  { of: 1, onDays: 1, hours: hoursBy(6), minutes: [12] },
  { of: 1, onDays: 1, hours: hoursBy(4), minutes: [17] },
  { of: 1, onDays: 1, hours: hoursBy(3), minutes: [0] },
  { of: 1, onDays: 1, hours: [0, 10, 16], minutes: [0] },
  { of: 1, onDays: 1, hours: hoursBy(12), minutes: [0] },
  { of: 1, onDays: 1, hours: hoursBy(13, 1), minutes: [0] },
  { of: 1, onDays: 1, hours: HOURS, minutes: every(15) },
  { of: 1, onDays: 1, hours: HOURS.slice(7), minutes: every(15) },
  { of: 1, onDays: 1, hours: HOURS, minutes: every(6) },
  { of: 1, onDays: 1, hours: HOURS, minutes: EVERY_MINUTE },
  { of: 1, onDays: 1 / 7, hours: HOURS, minutes: EVERY_MINUTE },
  { of: 1, onDays: 1, hours: hoursBy(3), minutes: EVERY_MINUTE },
  { of: 1, onDays: 1, hours: hoursBy(6), minutes: EVERY_MINUTE },
  { of: 1, onDays: 1, hours: hoursBy(12), minutes: EVERY_MINUTE },
  { of: 1, onDays: 1, hours: [9], minutes: EVERY_MINUTE },
];

const MEDIAN_TASK_MS = 1000;
/** So that 90 % take less than 20 s: 1.2816 is that quantile of the normal distribution. */
const SIGMA = Math.log(20) / 1.2816;
const MOST_TASK_MS = 3_600_000;
const MOST_TASKS = 5;
/** One for each task, one for the run. */
export const MEAN_EVENTS_PER_RUN = (1 + MOST_TASKS) / 2 + 1;
/** A run begins within this time of its minute. */
const MOST_LAG_MS = 1000;

const isOff = 255;

/** The hosts of one day, or every n-th of them: three bytes each. */
export class Fleet {
  #seed;
  #first;
  #step;
  #rows;
  #hours;
  #minutes;
  /** How many runs begin on the day. */
  runs = 0;

  /** @param part `{ first, step }`: of all hosts, those with the numbers first, first + step, and so on */
  constructor(hosts, seed, { first = 0, step = 1 } = {}) {
    this.#seed = seed;
    this.#first = first;
    this.#step = step;
    const count = Math.ceil((hosts - first) / step);
    this.#rows = new Uint8Array(count);
    this.#hours = new Uint8Array(count);
    this.#minutes = new Uint8Array(count);
    const ends = [];
    for (const { of } of SCHEDULES) ends.push((ends.at(-1) ?? 0) + of);
    for (let index = 0; index < count; index += 1) this.#draw(index, ends);
  }

  get hosts() {
    return this.#rows.length;
  }

  #number(index) {
    return this.#first + index * this.#step;
  }

  #draw(index, ends) {
    const random = seededRandom(hashed(this.#seed, this.#number(index)));
    const drawn = random() * ends.at(-1);
    const row = ends.findIndex((end) => drawn < end);
    const { onDays, atHour, hours, minutes } = SCHEDULES[row];
    this.#rows[index] = random() < onDays ? row : isOff;
    if (this.#rows[index] === isOff) return;
    if (atHour === undefined) this.runs += hours.length * minutes.length;
    else {
      this.runs += 1;
      this.#hours[index] = pick(atHour, random());
      const minute = random() * MINUTES.of;
      this.#minutes[index] = minute < MINUTES.full ? 0 : minute < MINUTES.full + MINUTES.half ? 30 : Math.floor(random() * 60);
    }
  }

  /** The hosts of which a run begins in this minute of the day. */
  *startingIn(minuteOfDay) {
    const hour = Math.floor(minuteOfDay / 60);
    const minute = minuteOfDay % 60;
    const runs = SCHEDULES.map(({ hours, minutes }) => hours?.includes(hour) === true && minutes.includes(minute));
    for (let index = 0; index < this.#rows.length; index += 1) {
      const row = this.#rows[index];
      if (row === isOff) continue;
      const isDue = SCHEDULES[row].atHour === undefined ? runs[row] : this.#hours[index] === hour && this.#minutes[index] === minute;
      if (isDue) yield this.#number(index);
    }
  }

  /** How long after the start of its minute the events of a run are published, in milliseconds: each task as it ends, then the run. */
  run(host, minuteOfDay) {
    const random = seededRandom(hashed(this.#seed + 1, host, minuteOfDay));
    const tasks = 1 + Math.floor(random() * MOST_TASKS);
    const publishedAfterMs = [];
    let nowMs = random() * MOST_LAG_MS;
    for (let task = 0; task < tasks; task += 1) {
      nowMs += Math.min(MOST_TASK_MS, MEDIAN_TASK_MS * Math.exp(SIGMA * normal(random)));
      publishedAfterMs.push(Math.round(nowMs));
    }
    publishedAfterMs.push(publishedAfterMs.at(-1));
    return publishedAfterMs;
  }
}

function pick(weights, share) {
  let left = share * weights.reduce((sum, weight) => sum + weight, 0);
  return weights.findIndex((weight) => (left -= weight) < 0);
}

/** By Box and Muller. */
function normal(random) {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
