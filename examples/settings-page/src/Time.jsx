// Times: of the day ("12:03:20") and relative ("4 min ago"), which updates automatically.
import { useEffect, useState } from "react";

const time = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const date = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });
const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "full", timeStyle: "medium" });

/** "12:03:20", with the day if it is not today. */
export function timeOfDay(value) {
  const at = new Date(value);
  return at.toDateString() === new Date().toDateString() ? time.format(at) : `${day.format(at)}, ${time.format(at)}`;
}

function relative(at, now) {
  const minutes = Math.round((now - at) / 60_000);
  if (minutes < 1) return "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 36 * 60) return `${Math.round(minutes / 60)} h ago`;
  if (minutes < 45 * 24 * 60) return `${Math.round(minutes / 1440)} days ago`;
  return `on ${date.format(at)}`;
}

export function useNow(everyMs) {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), everyMs);
    return () => clearInterval(timer);
  }, [everyMs]);
  return now;
}

export function Ago({ at, title }) {
  const now = useNow(15_000);
  const value = new Date(at);
  return (
    <time dateTime={at} title={title ?? full.format(value)}>
      {relative(value, now)}
    </time>
  );
}

export const Clock = ({ at }) => <time dateTime={new Date(at).toISOString()}>{timeOfDay(at)}</time>;
export const Day = ({ at }) => <time dateTime={at} title={full.format(new Date(at))}>{date.format(new Date(at))}</time>;
