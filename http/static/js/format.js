// Numbers and times as people read them. What is not known is a dash, never 0.

export const DASH = "–";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export const count = (n) => (n === null || n === undefined ? DASH : whole.format(n));

/** Events a second: one decimal below ten. */
export function rate(n) {
  if (n === null || n === undefined) return DASH;
  return n > 0 && n < 10 ? n.toFixed(1) : whole.format(n);
}

/** Four significant figures of a number that may come as text. */
export function figure(value, digits = 4) {
  const n = Number(value);
  if (value === null || value === undefined || value === "" || !Number.isFinite(n)) return DASH;
  return Math.abs(n) >= 10 ** digits ? whole.format(n) : String(Number(n.toPrecision(digits)));
}

export function percent(value, digits = 1) {
  const n = Number(value);
  return value === null || value === undefined || !Number.isFinite(n) ? DASH : `${n.toFixed(digits)} %`;
}

export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

export const ms = (text) => (text ? Date.parse(text) : null);

export const clock = (time) => new Date(time).toISOString().slice(11, 19);

export const day = (time) => new Date(time).toISOString().slice(5, 10);

/** `11-29 10:05`, or with seconds where a time has any. */
export function moment(text) {
  if (!text) return DASH;
  const time = clock(ms(text));
  return `${day(ms(text))} ${time.endsWith(":00") ? time.slice(0, 5) : time}`;
}

export function range(start, end) {
  const sameDay = day(ms(start)) === day(ms(end));
  return `${moment(start)} to ${sameDay ? moment(end).slice(6) : moment(end)}`;
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return DASH;
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export const dataset = (data_type, timeframe) => (timeframe ? `${data_type} ${timeframe}` : data_type);
