// Numbers as texts for people, as in the reports.

const MINUS = "\u2212";
export const ABSENT = "\u2013";

function scaled(value, units) {
  let step = 0;
  while (Math.abs(value) >= 999.5 && step < units.length - 1) {
    value /= 1000;
    step += 1;
  }
  const whole = String(Math.trunc(Math.abs(value))).length;
  return `${value.toFixed(step === 0 ? 0 : Math.max(0, 3 - whole))} ${units[step]}`.trim();
}

export function bytes(value) {
  return value == null ? ABSENT : scaled(value, ["B", "kB", "MB", "GB", "TB", "PB"]);
}

export function count(value) {
  if (value == null) return ABSENT;
  return Math.abs(value) < 10000 ? Math.round(value).toLocaleString("en") : scaled(value, ["", "k", "M", "G"]);
}

export function seconds(value) {
  if (value == null) return ABSENT;
  if (value < 59.5) return `${Math.max(0, Math.round(value))} s`;
  if (value < 3599.5) return `${Math.floor(Math.round(value) / 60)} min ${Math.round(value) % 60} s`;
  const minutes = Math.round(value / 60);
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function age(value) {
  for (const [unit, name] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (value >= unit) return `${Math.floor(value / unit)} ${name} ago`;
  }
  return "just now";
}

export function metric(value, percent) {
  if (value == null) return ABSENT;
  const text = percent ? `${(100 * Math.abs(value)).toFixed(1)}%` : Math.abs(value).toFixed(Math.abs(value) >= 10 ? 1 : 3);
  return (value < 0 && parseFloat(text) !== 0 ? MINUS : "") + text;
}

export function words(kind) {
  return String(kind).includes(":") ? String(kind) : String(kind).replaceAll("_", " ");
}
